// A task's own page: what somebody types into its forms is kept until an answer counted, as in the inbox's pane.

import { keep } from "./drafts.js";

const forms = document.querySelector("[data-forms-of]");
if (forms instanceof HTMLElement) keep(forms, forms.dataset.formsOf ?? "");
