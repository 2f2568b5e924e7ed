"""What speaks Dagger: the build, the upload, the checks of a published image, what git knows, what failures mean."""
