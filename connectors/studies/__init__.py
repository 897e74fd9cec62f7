"""Study folders: a past, the terms and the rules of a trial, as files that anybody can write."""
