-- The end of the account that its owner was reminded of; another end is worth another reminder.
ALTER TABLE users ADD COLUMN reminded_for INTEGER;
