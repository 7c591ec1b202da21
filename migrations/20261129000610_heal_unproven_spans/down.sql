-- Nothing is undone: the spans that the up migration removed from the coverage are read again.
-- Diesel needs a statement.
SELECT 1;
