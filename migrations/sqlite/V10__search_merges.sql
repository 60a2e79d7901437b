-- What the search holds of deleted users leaves it when its parts are merged in their turn. Merging a part as soon as a
-- tenth of it was deleted put most of the index through one commit: half a second, during which nobody else could write.
INSERT INTO users_search (users_search, rank) VALUES ('deletemerge', 0);
