#!/usr/bin/env bash
# Makes the demo site of Wagtail in a new folder, with a virtual environment of its own, as somebody
# would deploy it:
#
#     tests/support/projects/wagtail.sh /tmp/wagtail [PYTHON]
#     python manage.py advise --project /tmp/wagtail/mysite --settings mysite.settings.production \
#         --env SECRET_KEY=any --url / --now "gunicorn mysite.wsgi -w 4"
#
# It has WSGI only. Its database is SQLite. Nothing but the packages comes from elsewhere.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FOLDER [PYTHON]" >&2; exit 2; }
folder=$1 python=${2:-python3.12}
[ ! -e "$folder" ] || { echo "$folder exists" >&2; exit 2; }

mkdir -p "$folder" && cd "$folder"
"$python" -m venv .venv
.venv/bin/pip install -q wagtail gunicorn 'uvicorn[standard]'
.venv/bin/wagtail start mysite >/dev/null
cd mysite
# What startproject leaves to whoever deploys; production.py imports it.
cat > mysite/settings/local.py <<'END'
import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["shop.example"]
END
export DJANGO_SETTINGS_MODULE=mysite.settings.production SECRET_KEY=any
../.venv/bin/python manage.py migrate -v0
../.venv/bin/python manage.py collectstatic -v0 --noinput
