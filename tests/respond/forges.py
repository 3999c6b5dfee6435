"""Doubles of GitHub, GitLab and Jira over real HTTP: what their documentation says of issues, pages, limits and errors."""

from __future__ import annotations

import itertools
import json
import re
from urllib.parse import unquote

from tests.webserver import Answer, Asked


class Forge:
    """Issues and comments in memory. `before` sees each request first and may answer it; `pages` is the most a page holds."""

    token, scheme = "SECRET", "Bearer"

    def __init__(self, pages=100):
        self.issues, self.comments = [], {}
        self.before, self.pages, self.url = [], pages, ""
        self._numbers = itertools.count(1)

    def answer(self, asked: Asked):
        for each in self.before:
            found = each(asked)
            if found is not None:
                return found
        if asked.headers.get("authorization") != f"{self.scheme} {self.token}":
            return Answer({"message": "Bad credentials"}, 401)
        return self.served(asked, unquote(asked.path), json.loads(asked.body or b"null"))

    def served(self, asked, path, body) -> Answer:
        raise NotImplementedError

    def fresh(self, number):
        raise NotImplementedError

    def add(self, **issue):
        number = next(self._numbers)
        self.issues.append({**self.fresh(number), **issue})
        self.comments[str(number)] = []
        return self.issues[-1]


def found_in(form, text):
    """What the one group of a form finds; a search we do not know is a mistake of the test's."""
    found = re.match(form, text)
    assert found, text
    return found[1]


def lost(forge):
    """The next request that writes takes effect, and its answer is lost."""

    def lose(asked):
        if asked.method != "GET" and "/search" not in asked.path:
            forge.before.remove(lose)
            forge.answer(asked)
            return Answer({"message": "Server Error"}, 502)
        return None

    forge.before.append(lose)


class GitHub(Forge):
    """The list knows an issue at once, the search only what is in `indexed`."""

    def __init__(self, pages=100):
        super().__init__(pages)
        self.indexed = set()

    def fresh(self, number):
        url = f"https://github.example/acme/shop/issues/{number}"
        return {"number": number, "html_url": url, "state": "open", "body": None, "labels": []}

    def served(self, asked, path, body):
        if path == "/search/issues":
            mark = found_in(r'"([^"]+)" in:body is:issue repo:acme/shop$', asked.query["q"])
            found = [each for each in self.issues if each["number"] in self.indexed and mark in (each["body"] or "")]
            return Answer({"total_count": len(found), "items": found})
        if not path.startswith("/repos/acme/shop/issues"):
            return Answer({"message": "Not Found", "documentation_url": "https://docs.github.com"}, 404)
        number, _, sub = path.removeprefix("/repos/acme/shop/issues").strip("/").partition("/")
        if asked.method == "GET":
            items = self.comments[number] if sub == "comments" else sorted(self.issues, key=lambda i: -i["number"])
            return self.page(asked, items)
        if sub == "comments":
            self.comments[number].append(body)
            return Answer(body, 201)
        if asked.method == "PATCH":
            issue = next(each for each in self.issues if str(each["number"]) == number)
            issue.update(body)
            return Answer(issue)
        if len(body["title"]) > 256 or not body["title"]:
            errors = [{"resource": "Issue", "field": "title", "code": "missing_field"}]
            return Answer({"message": "Validation Failed", "errors": errors}, 422)
        return Answer(self.add(**body), 201)

    def page(self, asked, items):
        size, at = min(self.pages, int(asked.query.get("per_page", 30))), int(asked.query.get("after", 0))
        more = f'<https://elsewhere.example{asked.path}?per_page={size}&state=all&after={at + size}>; rel="next"'
        return Answer(items[at : at + size], 200, {"Link": more} if at + size < len(items) else {})


class GitLab(Forge):
    def fresh(self, number):
        url = f"https://gitlab.example/acme/shop/-/issues/{number}"
        return {"iid": number, "web_url": url, "state": "opened", "description": None}

    def served(self, asked, path, body):
        base = "/api/v4/projects/acme/shop/issues"
        if not path.startswith(base):
            return Answer({"message": "404 Project Not Found"}, 404)
        number, _, sub = path.removeprefix(base).strip("/").partition("/")
        if asked.method == "GET":
            word = asked.query.get("search", "")
            items = [each for each in self.issues if word in (each["description"] or "")]
            return self.page(asked, self.comments[number] if sub == "notes" else items)
        if sub == "notes":
            self.comments[number].append(body)
            return Answer(body, 201)
        if asked.method == "PUT":
            issue = next(each for each in self.issues if str(each["iid"]) == number)
            issue["state"] = {"close": "closed", "reopen": "opened"}[body["state_event"]]
            return Answer(issue)
        return Answer(self.add(**body), 201)

    def page(self, asked, items):
        size, at = min(self.pages, int(asked.query.get("per_page", 20))), int(asked.query.get("page", 1)) - 1
        more = str(at + 2) if (at + 1) * size < len(items) else ""
        return Answer(items[at * size : (at + 1) * size], 200, {"X-Next-Page": more})


class Jira(Forge):
    """An issue is to do, in progress or done; from done only Reopen leads away."""

    def fresh(self, number):
        return {"key": f"OPS-{number}", "fields": {"status": {"statusCategory": {"key": "new"}}}}

    def served(self, asked, path, body):
        path = path.removeprefix("/rest/api/2/")
        if path == "search":
            label = found_in(r'project = "OPS" and labels = "([^"]+)" order by created desc$', body["jql"])
            found = [each for each in reversed(self.issues) if label in each["fields"]["labels"]]
            return Answer({"issues": [{"key": each["key"], "fields": each["fields"]} for each in found[:1]]})
        if path == "issue":
            fields = body["fields"]
            if fields["issuetype"]["name"] != "Bug":
                return Answer({"errorMessages": [], "errors": {"issuetype": "Specify a valid issue type"}}, 400)
            return Answer({"key": self.add(fields={**self.fresh(0)["fields"], **fields})["key"]}, 201)
        _, key, sub = path.split("/")
        issue = next(each for each in self.issues if each["key"] == key)
        comments = self.comments[key.removeprefix("OPS-")]
        status = issue["fields"]["status"]["statusCategory"]
        if sub == "comment" and asked.method == "GET":
            at = int(asked.query["startAt"])
            return Answer({"comments": comments[at : at + self.pages], "total": len(comments), "startAt": at})
        if sub == "comment":
            comments.append(body)
            return Answer(body, 201)
        ways = (
            [("31", "Start", "indeterminate"), ("41", "Done", "done")]
            if status["key"] != "done"
            else [("51", "Reopen", "new")]
        )
        if asked.method == "GET":
            return Answer(
                {"transitions": [{"id": i, "name": n, "to": {"statusCategory": {"key": k}}} for i, n, k in ways]}
            )
        status["key"] = next(k for i, _, k in ways if i == body["transition"]["id"])
        return Answer(b"", 204)
