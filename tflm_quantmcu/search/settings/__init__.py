"""What each strategy can be told, a file a strategy; `options.Options` is the sum of all. Light to import: flags are
made of it."""
