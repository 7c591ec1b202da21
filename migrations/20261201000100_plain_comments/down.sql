-- The earlier comments are not restored, because a comment changes no behaviour. Diesel needs a statement.
SELECT 1;
