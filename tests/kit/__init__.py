"""What tests share: small labs, models, corpora and stores, made when asked for."""
