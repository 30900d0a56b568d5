from django.urls import path

from events import views

urlpatterns = [
    path("stream/", views.stream),
    path("endless/", views.endless),
    path("status/", views.status),
]
