-- The spans that were opened again are read again; there is nothing to take back.
SELECT 1;
