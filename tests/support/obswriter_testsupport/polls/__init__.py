"""A Django project like the tutorial's, with the admin and REST framework's pages beside it."""
