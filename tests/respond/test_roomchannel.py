"""The channel a war room has in Slack: made, filled and closed whatever is lost on the way; and rooms told to receivers.

Slack is a double that speaks its protocol over real HTTP (`slackdouble`), as there is no Slack to install.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import config as configuration
from aiprism import configured
from aiprism.errors import ConfigError
from aiprism.httpconfig import Secret
from aiprism.respond import dossier, roomkeeping, roomplan
from aiprism.respond.incident import Assigned, Identified, ResolvedByHand, RoleTaken
from aiprism.respond.oncall.rota import Person, Rota
from aiprism.respond.roomchannel import Channel, Reply, Stage, Wish, answered, begun, following, kept, named, stored
from aiprism.respond.roommirror import RoomMirror
from aiprism.respond.roomtelling import Form, Happened, portion
from aiprism.respond.warroom import START, Kind, Line, Place
from aiprism.store import incidents as incident_store
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, routing
from tests.respond.slackdouble import Workspace
from tests.respond.test_warroom import House
from tests.webserver import Answer, serving

PAGE = (Path(__file__).parents[2] / "docs" / "war-room.md").read_text(encoding="utf-8")
ANN = Person("ann", "Ann Ark", email="ann@example.com")


def planned(text="{}", token=Workspace.token):
    return roomplan.read(parse(text)).with_token(Secret(token))


class Mirrored(House):
    """A house whose rooms have channels in a workspace."""

    def __init__(self, url, workspace, server, plan=None):
        self.workspace, self._server = workspace, server
        super().__init__(url, self.reaching(plan or planned()))

    def reaching(self, plan):
        return replace(plan, slack=replace(plan.slack, api_url=f"{self._server.url}/api"))

    def enter(self):
        self._policy = replace(self._policy, periods=replace(self._policy.periods, rota=Rota(people={"ann": ANN})))
        super().enter()
        self.mirror = RoomMirror(self.respond, self.clock)

    async def pass_by(self, seconds=60.0):
        """Let so much time pass, in which the loop looks whenever it said that there may be something."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            wait = await self.mirror.round()
            self.clock.jump(min(max(wait, 0.1), end - self.clock.now()))
        await self.mirror.round()


def in_slack(test):
    """The test, with a workspace that is served, in a loop of its own."""

    def run(tmp_path):
        async def play():
            workspace = Workspace(**{"ann@example.com": "UANN"})
            async with serving(workspace.answer) as server:
                house = Mirrored(f"sqlite:///{tmp_path}/control.db", workspace, server)
                try:
                    await test(house, workspace)
                finally:
                    await house.mirror._hang_up()
                    house.records.close()

        asyncio.run(play())

    run.__name__ = test.__name__
    return run


@in_slack
async def test_an_incident_that_is_p0_has_a_channel_with_its_people_and_what_is_said(house, workspace):
    incident = house.trouble()
    house.respond.happen(incident, RoleTaken("bob", "commander", "ann"))
    await house.pass_by(3)
    assert workspace.methods == [
        "auth.test", "conversations.create", "conversations.setTopic", "users.lookupByEmail", "conversations.invite",
        "chat.postMessage", "pins.add", "chat.postMessage",
    ]  # fmt: skip
    [place] = workspace.places
    assert (place.name, place.members) == (named(incident.replace("INC_", "inc-"), 1), ["UBOT", "UANN"])
    assert place.topic.startswith("P0 investigating: ")
    assert place.pins == [place.messages[0]["ts"]]
    assert f"/incidents/{incident}/room|War room>" in place.texts[0]
    house.rooms.say(incident, "ann", "is <b> the & cause?")
    house.respond.happen(incident, Identified("ann", "the pool"))
    await house.pass_by(3)
    assert place.texts[2:] == ["*ann*: is &lt;b&gt; the &amp; cause?\n▸ *identified*: the pool (ann)"]
    assert place.topic.startswith("P0 identified: ")
    link = f"https://acme.slack.example/archives/{place.id}"
    channel = house.rooms.read(incident)["channel"]
    assert channel == {"kind": "slack", "name": place.name, "url": link, "stage": "open", "error": ""}
    with house.records.reading() as connection:
        assert dossier.dossier(connection, incident)["channel"] == channel
    assert house.timeline(incident, "channel_opened") == ["channel_opened"]


@in_slack
async def test_the_loop_hears_of_rooms_and_of_what_is_said_by_itself(house, workspace):
    loop = asyncio.create_task(house.mirror.run())
    incident = house.trouble()
    house.rooms.say(incident, "ann", "the pool is empty")
    async with asyncio.timeout(60):
        while not any("the pool is empty" in text for place in workspace.places for text in place.texts):
            await house.clock.advance(0.5)
            await asyncio.sleep(0.005)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


@in_slack
async def test_what_is_quiet_asks_slack_nothing_and_what_was_said_in_a_hurry_is_told_together(house, workspace):
    incident = house.trouble()
    await house.pass_by(3)
    asked = len(workspace.calls)
    await house.pass_by(600)
    assert len(workspace.calls) == asked
    for number in range(15):
        house.rooms.say(incident, "ann", f"{number} " + "x" * 500)
    await house.pass_by(10)
    told = [text for text in workspace.places[0].texts[2:] if "x" in text]
    assert (len(told), "".join(told).count("*ann*: ")) == (3, 15)


@in_slack
async def test_it_goes_on_after_a_restart_and_says_nothing_twice(house, workspace):
    incident = house.trouble()
    house.rooms.say(incident, "ann", "before")
    await house.pass_by(3)
    await house.mirror._hang_up()
    house.again()
    house.rooms.say(incident, "ann", "after")
    await house.pass_by(3)
    said = "\n".join(workspace.places[0].texts)
    assert (len(workspace.places), said.count("before"), said.count("after")) == (1, 1, 1)


@in_slack
async def test_slack_that_has_too_much_to_do_is_asked_again_when_it_says(house, workspace):
    house.trouble()
    workspace.before.append(lambda method, form: Answer({"ok": False}, 429, {"Retry-After": "40"}))
    await house.pass_by(39)
    assert workspace.methods == ["auth.test"]
    workspace.before.clear()
    await house.pass_by(5)
    assert len(workspace.places) == 1


@in_slack
async def test_a_token_that_is_refused_is_a_line_on_the_timeline_and_no_hurry(house, workspace):
    incident = house.trouble()
    workspace.before.append(lambda method, form: {"ok": False, "error": "invalid_auth"})
    await house.pass_by(3600)
    assert 3 <= len(workspace.calls) <= 6
    assert house.timeline(incident, "channel_failed") == ["channel_failed"]
    assert house.rooms.read(incident)["channel"]["error"] == "Slack refuses auth.test: invalid_auth"
    workspace.before.clear()
    await house.pass_by(1000)
    assert house.rooms.read(incident)["channel"]["stage"] == "open"


@in_slack
async def test_slack_that_cannot_be_reached_is_told_once_and_tried_less_and_less(house, workspace):
    incident = house.trouble()
    workspace.before.append(lambda method, form: Answer("<html>", 503))
    await house.pass_by(3600)
    assert 10 <= len(workspace.calls) <= 25
    assert house.timeline(incident, "channel_failed") == ["channel_failed"]


@in_slack
async def test_a_name_that_somebody_else_has_gets_a_number_and_one_that_we_have_is_taken(house, workspace):
    incident = house.trouble()
    name = named(incident.replace("INC_", "inc-"), 1)
    workspace.place(name, members=["USOMEBODY"])
    workspace.place("general", members=["UBOT"])
    ours = workspace.place(f"{name}-2", members=["UBOT"])
    await house.pass_by(3)
    assert (len(workspace.places), len(ours.texts)) == (3, 2)


@in_slack
async def test_a_channel_is_archived_when_it_was_over_for_long_enough_and_then_left_alone(house, workspace):
    house.respond.policy = replace(house.respond.policy, rooms=house.reaching(planned("slack: {archive_after: 1h}")))
    incident = house.trouble()
    await house.pass_by(3)
    house.respond.happen(incident, ResolvedByHand("ann"))
    await house.pass_by(3500)
    assert not workspace.places[0].archived
    await house.pass_by(200)
    assert workspace.places[0].archived
    asked = len(workspace.calls)
    await house.pass_by(3600)
    assert (len(workspace.calls), house.timeline(incident, "channel_archived")) == (asked, ["channel_archived"])


@in_slack
async def test_a_channel_that_people_archive_is_left_alone(house, workspace):
    incident = house.trouble()
    await house.pass_by(3)
    workspace.places[0].archived = True
    house.rooms.say(incident, "ann", "hello?")
    await house.pass_by(3)
    asked = len(workspace.calls)
    await house.pass_by(3600)
    assert (len(workspace.calls), house.timeline(incident, "channel_lost")) == (asked, ["channel_lost"])


@in_slack
async def test_what_we_may_not_do_is_done_without(house, workspace):
    refused = ("users.lookupByEmail", "pins.add", "conversations.setTopic")
    without = {"ok": False, "error": "missing_scope", "needed": "users:read.email"}
    workspace.before.append(lambda method, form: without if method in refused else None)
    incident = house.trouble()
    house.respond.happen(incident, Assigned("bob", "ann"))
    await house.pass_by(5)
    assert (len(workspace.places[0].texts), house.timeline(incident, "channel_failed")) == (2, [])


@in_slack
async def test_rooms_have_channels_from_the_tiers_that_are_named_and_as_soon_as_there_is_a_token(house, workspace):
    house.respond.policy = replace(house.respond.policy, rooms=roomplan.usual())
    house.trouble()
    await house.pass_by(3)
    house.respond.policy = replace(house.respond.policy, rooms=house.reaching(planned("slack: {tiers: [P1]}")))
    await house.pass_by(3)
    assert workspace.calls == []
    house.respond.policy = replace(house.respond.policy, rooms=house.reaching(planned("slack: {private: true}")))
    await house.pass_by(3)
    assert [each.private for each in workspace.places] == [True]


@in_slack
async def test_posts_that_come_to_nothing_while_the_rest_works_are_tried_less_and_less_and_told(house, workspace):
    incident = house.trouble()
    await house.pass_by(3)
    workspace.before.append(lambda method, form: Answer("<html>", 503) if method == "chat.postMessage" else None)
    house.rooms.say(incident, "ann", "the pool is empty")
    asked = len(workspace.calls)
    await house.pass_by(3600)
    assert len(workspace.calls) - asked <= 50
    assert house.timeline(incident, "channel_failed") == ["channel_failed"]
    workspace.before.clear()
    await house.pass_by(600)
    assert "".join(workspace.places[0].texts).count("the pool is empty") == 1
    assert house.rooms.read(incident)["channel"]["error"] == ""


@in_slack
async def test_a_slack_that_has_us_wait_for_long_is_told_where_people_look_for_the_channel(house, workspace):
    incident = house.trouble()
    workspace.before.append(lambda method, form: Answer({"ok": False}, 429, {"Retry-After": "3600"}))
    await house.pass_by(3500)
    assert workspace.methods == ["auth.test"]
    channel = house.rooms.read(incident)["channel"]
    assert channel["error"] == "Slack has too much to do: it is asked again in 60 minutes"
    assert house.timeline(incident, "channel_failed") == ["channel_failed"]


@in_slack
async def test_a_storm_that_changes_the_title_with_each_post_changes_the_topic_once_a_minute(house, workspace):
    """Slack shows each change of a topic as a line in the channel, and takes twenty of them a minute from all channels."""
    house.trouble()
    await house.pass_by(3)
    for second in range(100):
        house.trouble(alert(f"Trouble{second}", "checkout", at=house.clock.now()))
        await house.pass_by(1)
    incident = house.trouble()
    assert len(workspace.places) < workspace.methods.count("conversations.setTopic") <= 4 * len(workspace.places) < 12
    house.respond.happen(incident, Identified("ann", "the pool"))
    await house.pass_by(2)  # how it stands is told at once
    place = next(each for each in workspace.places if each.name == named(incident.replace("INC_", "inc-"), 1))
    assert place.topic.startswith("P0 identified: ")
    await house.pass_by(120)
    assert place.topic == f"P0 identified: {house.rooms.read(incident)['incident']['title']}"[:250]


@in_slack
async def test_a_title_of_signs_that_slack_spells_out_has_a_topic_and_none_is_cut_in_the_middle(house, workspace):
    incident = house.trouble(alert("ServiceDown", "&" * 70, at=T0))
    house.rooms.say(incident, "ann", "&" * 4000)
    await house.pass_by(5)
    [place] = workspace.places
    for text in (place.topic, *(text for text in place.texts if "*ann*" in text)):
        assert text.endswith("…")
        assert not re.search("&(?!amp;)", text)
    assert len(place.topic) <= 250


@in_slack
async def test_nobody_is_called_into_a_new_channel_for_what_is_over(house, workspace):
    incident = house.trouble()
    workspace.before.append(lambda method, form: {"ok": False, "error": "token_revoked"})
    await house.pass_by(100)
    house.respond.happen(incident, ResolvedByHand("ann"))
    workspace.before.clear()
    await house.pass_by(3600)
    assert workspace.places == []


@in_slack
async def test_a_page_of_channels_that_slack_no_longer_knows_is_looked_for_from_the_first_on(house, workspace):
    incident = house.trouble()
    name = named(incident.replace("INC_", "inc-"), 1)
    workspace.place("general", members=["UBOT"])
    ours = workspace.place(name, members=["UBOT"])
    begun = []

    def expire(method, form):
        if method == "users.conversations" and "cursor" not in form:
            begun.append(method)
        stale = form.get("cursor") and len(begun) == 1
        return {"ok": False, "error": "invalid_cursor"} if stale else None

    workspace.before.append(expire)
    await house.pass_by(2000)
    assert (len(workspace.places), len(ours.texts)) == (2, 2)


@in_slack
async def test_what_was_written_in_slack_holds_up_nothing_that_is_said_after_it(house, workspace):
    incident = house.trouble()
    await house.pass_by(3)
    with house.respond.desk() as desk:
        for number in range(250):
            roomkeeping.write(desk, incident, Line(desk.now, Kind.SAID, "cid", str(number), {"from": "slack"}))
    house.clock.jump(20)
    house.rooms.say(incident, "ann", "the pool is empty")
    await house.mirror.round()
    assert workspace.places[0].texts[-1] == "*ann*: the pool is empty"


class Silent:
    """Slack as it is, but for posts of one text, which are not answered until they may be."""

    def __init__(self, api, text):
        self._api, self._text, self.may = api, text, asyncio.Event()

    async def call(self, ask):
        if ask.posts and self._text in ask.form["text"]:
            await self.may.wait()
        return await self._api.call(ask)

    async def close(self):
        await self._api.close()


@in_slack
async def test_a_post_that_is_not_answered_holds_up_its_own_channel_and_no_other(house, workspace):
    one = house.trouble()
    house.clock.jump(1200)
    other = house.trouble(alert("ServiceDown", "mail", at=house.clock.now()))
    await house.pass_by(3)
    assert len(workspace.places) == 2
    api = Silent(house.mirror._line.api, "is this heard?")
    house.mirror._line.api, house.mirror._together = api, 0.05
    texts = lambda: [text for place in workspace.places for text in place.texts]  # noqa: E731

    async def heard(text):
        async with asyncio.timeout(60):
            while text not in texts():
                await house.mirror.round()
                await asyncio.sleep(0.01)

    house.rooms.say(one, "ann", "is this heard?")
    house.rooms.say(other, "ann", "the index is rebuilt")
    house.clock.jump(20)
    await heard("*ann*: the index is rebuilt")
    house.rooms.say(other, "ann", "it is there again")
    house.clock.jump(20)
    await heard("*ann*: it is there again")
    assert "*ann*: is this heard?" not in texts()
    api.may.set()
    await asyncio.gather(*house.mirror._asking.values())
    assert texts().count("*ann*: is this heard?") == 1


@in_slack
async def test_the_channel_of_an_incident_that_was_taken_in_says_where_it_goes_on(house, workspace):
    first = house.trouble()
    house.clock.jump(2000)
    second = house.trouble(alert("ServiceDown", "mail", at=house.clock.now()))
    await house.pass_by(5)
    house.respond.merge(first, second, "ann")
    await house.pass_by(5)
    places = {place.name: place for place in workspace.places}
    into, given = (places[named(name.replace("INC_", "inc-"), 1)] for name in (first, second))
    assert given.topic == f"goes on as part of {first}: https://acme.slack.example/archives/{into.id}"
    assert any("merged" in text for text in given.texts)
    asked = []
    sa.event.listen(house.records._engine, "after_cursor_execute", lambda *args: asked.append(args[2]))
    await house.pass_by(5)
    assert asked
    assert not [each for each in asked if "FROM incident_alerts" in each]  # of which there may be ten thousand


@in_slack
async def test_the_people_of_what_was_taken_in_are_called_into_the_channel_where_it_goes_on(house, workspace):
    workspace.people["bob@example.com"] = "UBOB"
    periods = house.respond.policy.periods
    rota = Rota(people={"ann": ANN, "bob": Person("bob", "Bob Birk", email="bob@example.com")})
    house.respond.policy = replace(house.respond.policy, periods=replace(periods, rota=rota))
    first = house.trouble()
    house.respond.happen(first, RoleTaken("ann", "commander", "ann"))
    house.clock.jump(2000)
    second = house.trouble(alert("ServiceDown", "mail", at=house.clock.now()))
    house.clock.jump(2000)
    third = house.trouble(alert("ServiceDown", "orders", at=house.clock.now()))
    house.respond.happen(second, RoleTaken("bob", "commander", "bob"))  # which the one that goes on has
    await house.pass_by(5)
    into, given, lost = (
        next(each for each in workspace.places if each.name == named(name.replace("INC_", "inc-"), 1))
        for name in (first, second, third)
    )
    given.members += ["UEVE", "UANN"]  # who came by themselves
    lost.members.remove("UBOT")
    house.respond.merge(first, second, "ann")
    house.respond.merge(first, third, "ann")
    await house.pass_by(5)
    assert into.members == ["UBOT", "UANN", "UBOB", "UEVE"]
    assert house.rooms.read(first)["channel"]["stage"] == "open"
    await house.pass_by(120)
    asked = len(workspace.calls)
    await house.pass_by(600)
    assert len(workspace.calls) == asked


def test_what_is_said_waits_for_none_of_the_many_who_were_in_what_was_taken_in():
    guests = tuple(f"U{number}" for number in range(200))
    channel = Channel("INC_1", Stage.OPEN, "C1", home="https://acme.slack.example/", topic="t", head="1", pinned=True)
    channel, now, asked = replace(channel, taken_in=("C2",), guests=guests), T0, []
    wish = Wish("inc-1", "t", "head", taken_in=("C2",))
    while now < T0 + 60:
        last = Place(int(now - T0) // 10 + 1, 0)  # something is said every ten seconds
        said = replace(wish, post="it is the pool" if last != channel.place else "", place=last)
        if (ask := following(channel, said)) is not None:
            asked.append((now - T0, ask.method))
            channel = answered(channel, ask, Reply({"ok": True}), now)
        now = max(channel.next_at, now + 0.1)
    posts = [at for at, method in asked if method == "chat.postMessage"]
    assert len(posts) == 6
    assert all(at % 10 < 2 for at in posts)
    assert 30 < len(asked) - len(posts) < 50  # of which Slack takes fifty in a minute


# -- whatever is lost ------------------------------------------------------------------------------------------------

FAULTS = st.sampled_from(["fine", "fine", "lost", "unreached", "busy", "dies before", "dies after", "internal_error"])


@settings(max_examples=200, deadline=None)
@given(
    faults=st.lists(FAULTS, max_size=40), words=st.lists(st.text("abc", min_size=1), max_size=6), taken=st.booleans()
)
def test_whatever_is_lost_there_is_one_channel_and_every_line_stands_there_once(faults, words, taken):
    workspace, now, row = Workspace(), T0, stored(Channel("INC_1"))
    if taken:
        workspace.place("inc-1", members=["USOMEBODY"])
    lines = [Line(T0, Kind.SAID, "ann", f"{number}:{word}", id=number + 1) for number, word in enumerate(words)]
    coming = iter(faults)
    for _ in range(300):
        channel = kept({**row, "progress": dict(row["progress"])})
        unheard = [line for line in lines if line.id > channel.place.line]
        post, place = portion(unheard[:2], [], channel.place, Form())
        ask = following(channel, Wish("inc-1", "P0", "head", post=post, place=place))
        if ask is None:
            break
        now = max(now, channel.next_at)
        asked = begun(channel, ask)
        row, fault = stored(asked), next(coming, "fine")
        if fault == "dies before":
            continue
        replies = {"busy": Reply(error="ratelimited", retry_after=3.0), "unreached": Reply(why="away")}
        reply = replies.get(fault) or _called(workspace, ask)
        if fault == "dies after":
            continue
        reply = {"lost": Reply(why="lost"), "internal_error": Reply(error="internal_error")}.get(fault, reply)
        row = stored(answered(asked, ask, reply, now))
    else:
        raise AssertionError("it comes to no end")
    ours = [each for each in workspace.places if "UBOT" in each.members]
    assert [each.name for each in ours] == ["inc-1-2" if taken else "inc-1"]
    assert ours[0].texts[0] == "head"
    assert "\n".join(ours[0].texts[1:]) == "\n".join(f"ann: {line.text}" for line in lines)
    assert ours[0].pins == [ours[0].messages[0]["ts"]]


def _called(workspace, ask):
    found = workspace.call(ask.method, ask.form)
    return Reply(found) if found["ok"] else Reply(error=found["error"])


# -- what is told ----------------------------------------------------------------------------------------------------


def test_what_is_told_stands_in_its_order_and_goes_no_further_than_one_text():
    lines = [
        Line(1.0, Kind.SAID, "ann", "one", id=1),
        Line(3.0, Kind.SAID, "bob", "from there", {"from": "slack"}, id=2),
        Line(4.0, Kind.ANSWERED, "automated_system", "done", id=3),
        Line(5.0, Kind.SAID, "ann", "x" * 60, id=4),
    ]
    events = [Happened(7, 2.0, "acknowledged", "ann", "acknowledged by ann")]
    form = Form(most=60, here="slack")
    assert portion(lines, events, START, form) == ("ann: one\n▸ acknowledged: acknowledged by ann\n↳ done", Place(3, 7))
    answer = Line(6.0, Kind.SAID, "cid", "no", {"reply_to": {"text": "one"}}, id=5)
    changed = Line(7.0, Kind.EDITED, "cid", "yes", {"was": "no"}, id=6)
    assert portion([answer, changed], [], START, Form()) == ("cid (on “one”): no\n✎ cid: yes", Place(6, 0))
    cut, place = portion(lines[3:], [], Place(3, 7), form)
    assert (len(cut), cut[-1], place) == (60, "…", Place(4, 7))


def test_receivers_are_told_what_is_said_once_and_hear_of_the_incident_not_otherwise(tmp_path):
    plan = roomplan.read(parse("war_room: {receivers: [teams]}"))
    house = House(f"sqlite:///{tmp_path}/control.db", plan)
    teams = "route: {receiver: nobody}\nreceivers: [{name: nobody}, {name: teams, msteamsv2_configs: [{webhook_url: 'http://x/'}]}]"
    house.respond.policy = replace(house.respond.policy, routing=routing(teams))
    incident = house.trouble()
    house.rooms.say(incident, "ann", "the pool is empty")
    mirror = RoomMirror(house.respond, house.clock)
    asked = []
    sa.event.listen(house.records._engine, "after_cursor_execute", lambda *args: asked.append(args[2]))
    for _ in range(3):
        asyncio.run(mirror.round())
        house.clock.jump(5)
    assert asked
    assert not [each for each in asked if "incident_alerts" in each]  # of which it may have ten thousand
    house.rooms.say(incident, "ann", "and now it is not")
    house.respond.happen(incident, ResolvedByHand("ann", "it was the pool"))
    asyncio.run(mirror.round())
    with house.records.reading() as connection:
        letters = incident_store.notification_rows(connection, [incident])
    told = [(each["receiver"], each["payload"]["text"].partition("opened: ")[0] or "opened") for each in letters]
    assert [receiver for receiver, _ in told] == ["teams", "teams"]
    assert (
        letters[1]["payload"]["text"]
        == "ann: and now it is not\n\n▸ resolved: it was the pool (while ServiceDown fires) (ann)"
    )
    house.records.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("slack: {prefix: 'Ärger!'}", "small letters"),
        ("slack: {api_url: slack.com}", r"http\(s\) address"),
        ("slack: {tiers: [P9]}", "P9"),
        ("slack: {bot_token: x}", "bot_token"),
        ("war_room: {receivers: [nobody]}", "no receiver of alertmanager.yml"),
        ("slack: {invite: [ann, bob]}", "'bob' is nobody of oncall.yml"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(text, why):
    with pytest.raises(ConfigError, match=why):
        roomplan.read(parse(text), ["teams"], ["ann"])


def test_the_examples_of_the_documentation_can_be_configured(tmp_path):
    asked, slack, teams = re.findall(r"test_roomchannel.py runs this block -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "aiprism.yml").write_text(asked.replace("respond:", "respond:\n  alertmanager: am.yml"))
    (tmp_path / "am.yml").write_text("route: {receiver: ann}\nreceivers: [{name: ann}]\n")
    (tmp_path / "war-room.yml").write_text(slack)
    (tmp_path / "oncall.yml").write_text("people: {ann: {name: Ann Ark, email: ann@example.com, receivers: [ann]}}\n")
    config = configuration.load(tmp_path / "aiprism.yml", {})
    found = configured.policy(config, "").rooms.slack
    assert (found.token.file, found.archive_after) == (str(tmp_path / "slack.bot-token"), 7 * 86400.0)
    assert found.invite == ("ann", "head-of-operations@example.com")
    assert roomplan.read(parse(teams), ["teams-war-rooms"]).receivers == ("teams-war-rooms",)
