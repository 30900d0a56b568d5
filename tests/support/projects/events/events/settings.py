SECRET_KEY = "of a test project"
DEBUG = False
ALLOWED_HOSTS = ["events.example"]
ROOT_URLCONF = "events.urls"
ASGI_APPLICATION = "events.asgi.application"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "events.middleware.Stamped"]
INSTALLED_APPS = []
DATABASES = {}
