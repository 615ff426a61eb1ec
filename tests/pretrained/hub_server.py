"""Stand-in for Hugging Face's server: repositories in memory, by its protocol.

It answers what `huggingface_hub` asks to create a repository, upload a folder
(small files inline, others by Git LFS) and download it.
"""

import base64
import hashlib
import json
import re

from tests.pretrained.file_server import send, serving_all

COMMIT = "5" * 40
TOKEN = "hf_of_the_test"


class Hub:
    """Repositories by name, and an answer to each request.

    Attributes:
        repositories: contents of files by their paths, by repository.
        cards: READMEs whose front matter was sent to be validated.
    """

    def __init__(self):
        self.repositories = {}
        self.cards = []
        self._objects = {}
        self._routes = [
            ("POST", r"/api/repos/create", self._create),
            ("POST", r"/api/validate-yaml", self._validate),
            ("POST", r"/api/models/(\w+/\w+)/preupload/main", self._preupload),
            ("POST", r"/(\w+/\w+)\.git/info/lfs/objects/batch", self._batch),
            ("PUT", r"/objects/(\w+)", self._store),
            ("POST", r"/api/models/(\w+/\w+)/commit/main", self._commit),
            ("GET", r"/api/models/(\w+/\w+)/revision/(\w+)", self._info),
            ("GET", r"/api/models/(\w+/\w+)/tree/\w+", self._tree),
            ("GET", r"/(\w+/\w+)/resolve/\w+/(.+)", self._file),
        ]

    def serving(self):
        """Serve on a free port; yields the address, for HF_ENDPOINT."""
        return serving_all(self._answer)

    def _answer(self, handler):
        method = handler.command.replace("HEAD", "GET")
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size)
        path = handler.path.partition("?")[0]
        is_signed = handler.headers.get("Authorization") == f"Bearer {TOKEN}"
        is_api_write = method == "POST" and "validate" not in path
        if is_api_write and not is_signed:
            handler.send_error(401, "Unauthorized")
            return
        for route_method, pattern, answer in self._routes:
            match = re.fullmatch(pattern, path)
            if match and method == route_method:
                answer(handler, body, *match.groups())
                return
        handler.send_error(404, "Not Found")

    def _create(self, handler, body):
        fields = json.loads(body)
        name = f"{fields['organization']}/{fields['name']}"
        is_new = name not in self.repositories
        self.repositories.setdefault(name, {})
        url = {"url": f"http://{handler.headers['Host']}/{name}"}
        _send_json(handler, url, 200 if is_new else 409)

    def _validate(self, handler, body):
        self.cards.append(json.loads(body)["content"])
        _send_json(handler, {"errors": [], "warnings": []})

    def _preupload(self, handler, body, name):
        files = [
            {
                "path": file["path"],
                "shouldIgnore": False,
                "uploadMode": "lfs"
                if file["path"].endswith((".safetensors", ".h5"))
                else "regular",
            }
            for file in json.loads(body)["files"]
        ]
        _send_json(handler, {"files": files})

    def _batch(self, handler, body, name):
        address = f"http://{handler.headers['Host']}/objects"
        objects = [
            {
                "oid": entry["oid"],
                "size": entry["size"],
                "actions": {"upload": {"href": f"{address}/{entry['oid']}"}},
            }
            for entry in json.loads(body)["objects"]
        ]
        _send_json(handler, {"transfer": "basic", "objects": objects})

    def _store(self, handler, body, digest):
        is_whole = hashlib.sha256(body).hexdigest() == digest
        self._objects[digest] = body
        _send_json(handler, {}, 200 if is_whole else 400)

    def _commit(self, handler, body, name):
        files = self.repositories[name]
        for line in body.splitlines():
            entry = json.loads(line)
            fields = entry["value"]
            if entry["key"] == "file":
                files[fields["path"]] = base64.b64decode(fields["content"])
            elif entry["key"] == "lfsFile":
                files[fields["path"]] = self._objects[fields["oid"]]
        address = f"http://{handler.headers['Host']}/{name}/commit/{COMMIT}"
        _send_json(handler, {"commitUrl": address, "commitOid": COMMIT})

    def _info(self, handler, body, name, revision):
        if name not in self.repositories:
            _send_json(handler, {}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        facts = {"_id": "1", "id": name, "sha": COMMIT, "siblings": []}
        _send_json(handler, facts)

    def _tree(self, handler, body, name):
        rows = [
            {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": hashlib.sha1(content).hexdigest(),
            }
            for path, content in self.repositories[name].items()
        ]
        _send_json(handler, rows)

    def _file(self, handler, body, name, path):
        content = self.repositories[name][path]
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        send(handler, content, headers={"ETag": etag, "X-Repo-Commit": COMMIT})


def _send_json(handler, value, status=200, headers=None):
    content = json.dumps(value).encode()
    send(handler, content, "application/json", None, status, headers)
