"""Signing in and out at the page, in a real browser."""

from tests.support.keys import ADMIN_KEY


def test_whoever_is_not_signed_in_comes_back_to_where_they_wanted_to_go(visitor):
    with visitor.page(key=None) as page:
        page.goto("/page/usage?by=dataset")
        assert page.url == f"{visitor.url}/page/sign-in?next=%2Fpage%2Fusage%3Fby%3Ddataset"
        page.get_by_label("API key").fill(ADMIN_KEY)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/page/usage?by=dataset")
        [cookie] = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["secure"]) == (
            True,
            "Strict",
            "/",
            False,
        )
        assert ADMIN_KEY not in cookie["value"]
        assert page.evaluate("document.cookie") == ""
