from lightning_tune.reports.markup import Markup, breakable, element, join


def test_text_is_escaped_and_markup_is_not():
    assert join("<b>", Markup("<i>"), None, ["&", [Markup("<u>")]]) == "&lt;b&gt;<i>&amp;<u>"


def test_an_attribute_cannot_be_left():
    shown = element("p", title='"><script>', data_tip="'", hidden=False)
    assert shown == '<p title="&quot;&gt;&lt;script&gt;" data-tip="&#x27;"></p>'


def test_void_elements_have_no_end():
    assert element("br") == "<br>"
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_numbers_in_attributes_are_short():
    assert element("rect", x=1 / 3, y=2) == '<rect x="0.333333" y="2"></rect>'


def test_breaks_do_not_open_a_hole():
    assert breakable("<b>_x") == "&lt;b&gt;_<wbr>x"
