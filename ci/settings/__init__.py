"""The values that a repository's `dagger.json` and `.env` give to options, read as Dagger reads them."""
