import base64
import hashlib
import re
import stat

from lightning_tune.reports.markup import element
from lightning_tune.reports.page import page, write_page


def test_the_policy_admits_the_pages_own_script_and_nothing_else():
    content = page("title", element("p", "text"))
    script = re.search("<script>(.*?)</script>", content, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search('Content-Security-Policy" content="([^"]*)"', content).group(1)
    assert "default-src &#x27;none&#x27;" in policy
    assert f"script-src &#x27;sha256-{digest}&#x27;" in policy


def test_a_page_asks_for_nothing_from_elsewhere():
    content = page("title", scripts=("tips", "sorting", "runs"), wide=True)
    assert re.findall(r"(?:src|href)=", content) == []
    assert re.findall(r"@import|url\(", content) == []


def test_the_title_is_escaped():
    assert "<title>&lt;/title&gt;</title>" in page("</title>")


def test_a_page_is_its_owners_alone_and_takes_any_text(tmp_path):
    write_page(tmp_path / "page.html", "lone \ud800")
    assert (tmp_path / "page.html").read_text() == "lone ?"
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == 0o600
