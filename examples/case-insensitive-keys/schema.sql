-- The table is there already, and its addresses are unique whatever their case.
CREATE TABLE public.subscribers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email      text NOT NULL,
    topics     text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX subscribers_email_key ON public.subscribers (lower(email));
INSERT INTO public.subscribers (email, updated_at) VALUES ('Ada@Example.com', '2026-01-01');
