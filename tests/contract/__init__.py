"""Each port: the fake and the real adapter keep the same promises."""
