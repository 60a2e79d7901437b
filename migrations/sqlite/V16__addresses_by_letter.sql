-- An address is compared by its letters in lower case, and no more by what compatibility makes of them: straße@ and strasse@
-- are two mailboxes, and so are those of other letters that were taken for one. An address that would not be taken today
-- stays, compared as it was.
--
-- address_key is a function of the program, which is there while it migrates: the form in which an address is compared, or
-- the one that it has if it is none by the present rule. It changes nothing but letters beyond ASCII.
UPDATE OR IGNORE users SET email_key = address_key(email, email_key)
WHERE octet_length(email) > length(email) AND email_key <> address_key(email, email_key);

-- A code is hashed with the address that it was sent to, so one that was sent before is not right any more; its link is.
UPDATE codes SET email_key = address_key(email, email_key), code_hash = NULL
WHERE octet_length(email) > length(email) AND email_key <> address_key(email, email_key);
