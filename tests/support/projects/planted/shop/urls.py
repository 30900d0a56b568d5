from django.urls import path

from shop import views

urlpatterns = [
    path("rates/", views.rates),
    path("compressed/", views.compressed),
    path("hashed/", views.hashed),
    path("listed/", views.listed),
    path("computed/", views.computed),
    path("locked/", views.locked),
    path("bridged/", views.bridged),
    path("stored/", views.stored),
    path("streamed/", views.streamed),
    path("clean/", views.clean),
    path("clean-sync/", views.clean_sync),
]
