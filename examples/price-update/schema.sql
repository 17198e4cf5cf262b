-- The table is there already; the price list knows only some of its columns.
CREATE TABLE public.articles (
    article_no  text PRIMARY KEY,
    title       text NOT NULL,
    price       numeric(8,2) NOT NULL,
    valid_from  date NOT NULL
);
INSERT INTO public.articles VALUES
    ('TEA-GREEN', 'Green tea, 100 g', 7.90, '2025-01-01'),
    ('TEA-BLACK', 'Black tea, 100 g', 6.50, '2025-01-01'),
    ('KETTLE',    'Kettle, 1.2 l',   59.00, '2025-01-01');
