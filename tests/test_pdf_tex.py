"""Formulas in TeX become Typst: every command the converter knows, one by one."""

import contextlib
import json
import re

import pytest
import typst
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw1lib.submission.pdf.tex import COMMANDS, DECLARATIONS, TEXTS, Notation, TexError
from tests.fixtures.notebooks import export, markdown

# In Typst, `""` is an empty atom and `#` begins code.
TABLE = r"""
a\,b  =>  a thin b
a\:b  =>  a med b
a\>b  =>  a med b
a\;b  =>  a thick b
a\ b  =>  a space b
a\quad b  =>  a quad b
a\qquad b  =>  a wide b
a\enspace b  =>  a#h(0.5em)b
a\thinspace b  =>  a thin b
a\medspace b  =>  a med b
a\thickspace b  =>  a thick b
a\nobreakspace b  =>  a space b
a\space b  =>  a space b
a\!b  =>  a#h(-0.1667em)b
a\negthinspace b  =>  a#h(-0.1667em)b
a~b  =>  a space.nobreak b
a\hspace{1em}b  =>  a#h(1em)b
a\hspace*{2pt}b  =>  a#h(2pt)b
a\hskip 1ex b  =>  a#h(0.43em)b
a\kern-3mu b  =>  a#h(-0.1667em)b
a\mskip9mu b  =>  a#h(0.5em)b
a\mkern18mu b  =>  a#h(1em)b
a\mspace{4px}b  =>  a#h(3pt)b

\mathbf{x}  =>  bold(upright(x))
\mathbf{ab}  =>  bold(upright("ab"))
\boldsymbol{x}  =>  bold(x)
\bm{x}  =>  bold(x)
\mathcal{L}  =>  cal(L)
\mathscr{L}  =>  scr(L)
\mathbb{R}  =>  bb(R)
\Bbb{R}  =>  bb(R)
\mathfrak{g}  =>  frak(g)
\mathsf{A}  =>  sans(A)
\mathtt{A}  =>  mono(A)
\mathit{xy}  =>  italic("xy")
\mathrm{ReLU}  =>  upright("ReLU")
\mathrm{x_1}  =>  upright(attach(x, b: 1))
\mathnormal{x}  =>  italic(x)
\pmb{x}  =>  bold(x)

\hat y  =>  hat(y)
\widehat{y}  =>  hat(y)
\tilde x  =>  tilde(x)
\widetilde{x}  =>  tilde(x)
\bar x  =>  macron(x)
\vec v  =>  arrow(v)
\overrightarrow{ab}  =>  arrow(a b)
\overleftarrow{ab}  =>  arrow.l(a b)
\overleftrightarrow{ab}  =>  arrow.l.r(a b)
\dot x  =>  dot(x)
\ddot x  =>  dot.double(x)
\dddot x  =>  dot.triple(x)
\check x  =>  caron(x)
\breve x  =>  breve(x)
\acute x  =>  acute(x)
\grave x  =>  grave(x)
\mathring x  =>  circle(x)
\overline{ab}  =>  overline(a b)
\underline{ab}  =>  underline(a b)
\cancel{x}  =>  cancel(x)
\overbrace{ab}^n  =>  attach(limits(overbrace(a b)), t: n)
\underbrace{ab}_n  =>  attach(limits(underbrace(a b)), b: n)
\overbracket{ab}^n  =>  attach(limits(overbracket(a b)), t: n)
\underbracket{ab}_n  =>  attach(limits(underbracket(a b)), b: n)

\displaystyle\sum_i i  =>  display(attach(∑, b: i)i)
\textstyle x  =>  inline(x)
\scriptstyle x  =>  script(x)
\scriptscriptstyle x  =>  sscript(x)
{\rm x}  =>  upright(x)
{\bf x}  =>  bold(upright(x))
{\it x}  =>  italic(x)
{\cal L}  =>  cal(L)
{\sf x}  =>  sans(x)
{\tt x}  =>  mono(x)

a\mathrel{R}b  =>  a class("relation", R)b
a\mathbin{R}b  =>  a class("binary", R)b
\mathord{+}  =>  class("normal", \+)
\mathopen{(}  =>  class("opening", \()
\mathclose{)}  =>  class("closing", \))
\mathpunct{:}  =>  class("punctuation", \:)
\mathinner{x}  =>  class("normal", x)
\mathop{x}_i  =>  attach(limits(class("large", x)), b: i)
\lvert x\rvert  =>  class("opening", \|)x class("closing", \|)
\lVert x\rVert  =>  class("opening", ‖)x class("closing", ‖)

\text{a b}  =>  upright("a b")
\textrm{a}  =>  upright("a")
\textnormal{a}  =>  upright("a")
\mbox{a}  =>  upright("a")
\hbox{a}  =>  upright("a")
\textup{a}  =>  upright("a")
\textbf{a}  =>  bold("a")
\textit{a}  =>  italic("a")
\emph{a}  =>  italic("a")
\texttt{a}  =>  mono("a")
\textsf{a}  =>  sans("a")
\text{if $x$}  =>  "if "x
\textbf{if $x$ \emph{or}}  =>  bold("if ")x bold(" "italic("or"))
\text{50\%~a\,b}  =>  upright("50%\u{a0}a\u{2009}b")
\operatorname{ReLU}x  =>  op("ReLU", limits: #false)x
\operatorname*{argmax}_x  =>  attach(op("argmax", limits: #true), b: x)
\operatorname{arg\,max}  =>  op("arg max", limits: #false)
\operatorname{a_1}  =>  op(upright(attach(a, b: 1)), limits: #false)
\lim_{x}  =>  attach(op("lim", limits: #true), b: x)
\limsup  =>  op("lim sup", limits: #true)
\liminf  =>  op("lim inf", limits: #true)
\sin x  =>  op("sin", limits: #false)x
\max_i  =>  attach(op("max", limits: #true), b: i)
\log_2 n  =>  attach(op("log", limits: #false), b: 2)n

\big(  =>  lr(size: #1.2em, \()
\Big\}  =>  lr(size: #1.8em, \})
\bigg/  =>  lr(size: #2.4em, \/)
\Bigg]  =>  lr(size: #3em, \])
\bigl(  =>  class("opening", lr(size: #1.2em, \())
\bigr)  =>  class("closing", lr(size: #1.2em, \)))
\bigm|  =>  class("relation", lr(size: #1.2em, \|))
\Biggl\langle  =>  class("opening", lr(size: #3em, \⟨))
\left( a \right)  =>  lr(\(a\))
\left. a \right|  =>  lr(""a\|)
\left< a \right>  =>  lr(\⟨a\⟩)
\left\{ a \middle| b \right\}  =>  lr(\{a mid(\|)b\})
\left\| a \right\|  =>  lr(‖a‖)
\left\lfloor a \right\rfloor  =>  lr(\⌊a\⌋)
\left\langle a \right|  =>  lr(\⟨a\|)
\frac{\langle}{b}  =>  frac(\⟨, b)
\surd 2  =>  \√2
\langle a, b\rangle  =>  \⟨a\,b\⟩

\xrightarrow{a}  =>  attach(limits(stretch(→, size: #(100% + 0.8em))), t: a)
\xleftarrow{a}  =>  attach(limits(stretch(←, size: #(100% + 0.8em))), t: a)
\xleftrightarrow{a}  =>  attach(limits(stretch(↔, size: #(100% + 0.8em))), t: a)
\xRightarrow{a}  =>  attach(limits(stretch(⇒, size: #(100% + 0.8em))), t: a)
\xLeftarrow{a}  =>  attach(limits(stretch(⇐, size: #(100% + 0.8em))), t: a)
\xmapsto{a}  =>  attach(limits(stretch(↦, size: #(100% + 0.8em))), t: a)
\xlongequal{a}  =>  attach(limits(stretch(=, size: #(100% + 0.8em))), t: a)
\xrightarrow[b]{a}  =>  attach(limits(stretch(→, size: #(100% + 0.8em))), t: a, b: b)
\overset{a}{b}  =>  attach(limits(b), t: a)
\underset{a}{b}  =>  attach(limits(b), b: a)
\stackrel{a}{b}  =>  attach(limits(b), t: a)

\frac{a}{b}  =>  frac(a, b)
\frac12  =>  frac(1, 2)
\dfrac ab  =>  display(frac(a, b))
\tfrac ab  =>  inline(frac(a, b))
\cfrac ab  =>  display(frac(a, b))
\binom nk  =>  binom(n, k)
\dbinom nk  =>  display(binom(n, k))
\tbinom nk  =>  inline(binom(n, k))
a \over b  =>  frac(a, b)
n \choose k  =>  binom(n, k)
a \atop b  =>  mat(delim: #none, a ; b)
\sqrt x  =>  sqrt(x)
\sqrt[3]{x}  =>  root(3, x)
\sqrt{12}  =>  sqrt(12)

x_i^2  =>  attach(x, t: 2, b: i)
x^{10}  =>  attach(x, t: 10)
x^10  =>  attach(x, t: 1)0
f''  =>  attach(f, t: ′ ′)
f'^2  =>  attach(f, t: ′ 2)
{}_a b  =>  attach("", b: a)b
\sum\nolimits_i  =>  attach(scripts(∑), b: i)
\int\limits_a  =>  attach(limits(∫), b: a)
\sum_{\substack{i\\j}}  =>  attach(∑, b: inline(mat(delim: #none, row-gap: #0.15em, i ; j)))
\prod_{\substack{a\\b}}
    =>  attach(∏, b: inline(mat(delim: #none, row-gap: #0.15em, a ; b)))

\begin{matrix}a&b\\c&d\end{matrix}  =>  mat(delim: #none, a, b ; c, d)
\begin{pmatrix}a\\b\end{pmatrix}  =>  mat(delim: #("(", ")"), a ; b)
\begin{bmatrix}a&b\end{bmatrix}  =>  mat(delim: #("[", "]"), a, b)
\begin{Bmatrix}a\end{Bmatrix}  =>  mat(delim: #("{", "}"), a)
\begin{vmatrix}a\end{vmatrix}  =>  mat(delim: #("|", "|"), a)
\begin{Vmatrix}a\end{Vmatrix}  =>  mat(delim: #("‖", "‖"), a)
\begin{smallmatrix}a&b\end{smallmatrix}  =>  inline(mat(delim: #none, a, b))
\begin{pmatrix*}[r]a\end{pmatrix*}  =>  mat(delim: #("(", ")"), a)
\begin{array}{l|cr}a&b&c\\ \hline d\end{array}
    =>  mat(delim: #none, augment: #(hline: (1, ), vline: (1, )), & a, b, c & ; & d, "", "" &)
\begin{array}{cp{1cm}r}a&b&c\end{array}  =>  mat(delim: #none, a, & b, c &)
\begin{cases}a & x\\b\end{cases}  =>  cases(gap: #0.5em, & a quad && x, & b quad && "")
\begin{dcases}a\end{dcases}  =>  cases(gap: #0.5em, & display(a))
\begin{rcases}a\end{rcases}  =>  cases(gap: #0.5em, reverse: #true, & a)
\begin{aligned}[t]a&=b\end{aligned}
    =>  mat(delim: #none, row-gap: #0.6em, display(a) & ""display(\=b))
\begin{alignedat}{2}a&b&c\end{alignedat}
    =>  mat(delim: #none, row-gap: #0.6em, display(a) & ""display(b) & #h(2em)display(c))
\begin{gathered}a\\b\end{gathered}
    =>  mat(delim: #none, row-gap: #0.6em, display(a) ; display(b))
\begin{split}a&=b\end{split}
    =>  mat(delim: #none, row-gap: #0.6em, display(a) & ""display(\=b))

\color{red}x  =>  #text(fill: rgb("#ff0000"), $x$)
\textcolor{#00ff00}{x}  =>  #text(fill: rgb("#00ff00"), $x$)
\boxed{x}  =>  #box(stroke: 0.5pt, inset: 3pt, whole($display(x)$))
\fbox{two words}  =>  #box(stroke: 0.5pt, inset: 3pt, whole($upright("two words")$))
a\phantom{x}b  =>  a#hide($x$)b
a\hphantom{\frac ab}c  =>  a#box(height: 0pt, hide($frac(a, b)$))c
a\vphantom{bc}d  =>  a d
a \bmod b  =>  a class("binary", "mod")b
a \pmod n  =>  a quad \( "mod" thin n \)
a \pod n  =>  a quad \( n \)
\not=  =>  ≠
\not\in  =>  ∉
\not R  =>  cancel(R)
\{a\}  =>  \{a\}
\$\&\#\%\_  =>  \$\&\#\%\_
\|x\|  =>  class("normal", ‖)x class("normal", ‖)
a-b*c  =>  a−b∗c
\Gamma\alpha  =>  upright(Γ)α
\bra{a}\ket{b}
    =>  class("opening", \⟨)a class("closing", \|)class("opening", \|)b class("closing", \⟩)
|+\rangle  =>  \|class("normal", \+)class("closing", \⟩)
\braket{a|b}  =>  \⟨a\|b\⟩
\ell\wp  =>  ℓ ℘
1{,}000  =>  1","000
x_\rm{out}  =>  attach(x, b: upright(o u t))
x_\mathrm{out}  =>  attach(x, b: "out")
{\large x}y  =>  #text(size: 1.2em, $x$)y
a \mod b  =>  a quad "mod" thin thin b
\class{a}{x}\cssId{b}{y}  =>  x y
\smash{x}\smash[b]{y}  =>  x y
\rule{1em}{2pt}  =>  #box(rect(width: 1em, height: 2pt, fill: black))
\rule[-1pt]{1em}{2pt}  =>  #box(width: 1em, height: 2pt, baseline: 1pt, fill: black)
\verb|a_b|  =>  mono("a_b")
\idotsint  =>  ∫⋯∫
\operatorname{arg max}  =>  op("argmax")
\begin{pmatrix}a\cr b\cr\end{pmatrix}  =>  display(mat(a ; b))
\eqalign{a&=b\cr c&=d}
    =>  mat(delim: #none, row-gap: #0.6em, a & display(\=b) ; display(c) & display(\=d))
x_1,\dots,x_n+\dots  =>  attach(x, b: 1)\,…\,attach(x, b: n)\+…
a+\dots+b  =>  a\+⋯\+b
a\implies x  =>  a thick⟹thick x
\cancelto{0}{x}  =>  attach(cancel(x), tr: 0)
\relax\displaylimits\allowbreak x  =>  x
\nobreak\mathstrut\strut\protect x  =>  x
\newcommand{\R}{\mathbb R}\R  =>  bb(R)
\newcommand{\f}[2][1]{#1+#2}\f{a}+\f[b]{c}  =>  1\+a\+b\+c
\newcommand{\f}[2][1]{#1x#2}\f[]{c}  =>  x c
\def\g#1{#1^2}\g{a}  =>  attach(a, t: 2)
\renewcommand*{\h}{h}\h  =>  h
\providecommand{\k}{k}\k  =>  k
\DeclareMathOperator{\E}{E}\E x  =>  op("E", limits: #false)x
\DeclareMathOperator*{\A}{arg}\A_x  =>  attach(op("arg", limits: #true), b: x)
\require{x}y  =>  y
\nonumber x  =>  x
% a remark  =>  ""
"""
PAIRS = re.findall(r"^(\S.*?)\s+=>  (.*)$", TABLE, re.MULTILINE)


DOCUMENT = """
#set page(width: auto, height: auto, margin: 4pt)
#let data = json("formulas.json")
#let whole = text.with(top-edge: "bounds", bottom-edge: "bounds")
#for source in data {
  page(math.equation(block: true, eval(source, mode: "math", scope: (whole: whole))))
}
"""


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Each pair of the table as it looks on a page: what TeX became, and what is expected."""
    folder = tmp_path_factory.mktemp("formulas")
    rows = [row for tex, typst in PAIRS for row in (*Notation().convert(tex).rows, typst)]
    (folder / "formulas.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "formulas.typ").write_text(DOCUMENT, encoding="utf-8")
    pages = typst.compile(folder / "formulas.typ", root=folder, format="png", ppi=100)
    assert len(pages) == len(rows) == 2 * len(PAIRS)
    return dict(zip(PAIRS, zip(pages[::2], pages[1::2], strict=True), strict=True))


@pytest.mark.parametrize("pair", PAIRS, ids=[tex for tex, _ in PAIRS])
def test_a_formula_in_tex_looks_like_this_formula_in_typst(pair, drawings):
    ours, expected = drawings[pair]
    assert ours == expected


def test_all_of_them_can_be_printed():
    page = export(*(markdown(f"$${tex}$$") for tex, _ in PAIRS if tex[0] != "%"))
    assert len(page.pages) > 1
    assert not page.notes


NAMES = ["\\" + name for name in (*COMMANDS, *TEXTS, *DECLARATIONS)]
PIECES = st.sampled_from(NAMES) | st.sampled_from(
    [*"{}[]^_&#$'\"a12²٣é %~*=|", r"\\", r"\begin{array}{c|c}", r"\end{array}", "2em", "{\\a}"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
@example(r"\hbox{$\LaTeX$}")
@example("\\def\\a{\\a\\a}\\a")
@example("\\newcommand{\\a}[²]{x}")
@example("\\rule{9e9em}{1em}")
def test_any_string_becomes_math_or_the_one_error(tex):
    with contextlib.suppress(TexError):
        found = Notation().convert(tex)
        assert len(found.rows) == len(found.tags) > 0


DEEP = r"""
{ \text{ ^\rm \hat x\over \left( \mathrm{ \sqrt[ \begin{matrix} \color{red} x_{
\fbox{
"""


@pytest.mark.parametrize("piece", DEEP.split())
def test_nesting_beyond_all_measure_is_an_error_of_the_formula(piece):
    with pytest.raises(TexError):
        Notation().convert(f"{piece} " * 5000)


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        (r"\tag{7}", "(7)"),
        (r"\tag*{A.1}", "A.1"),
        (r"\tag{chain~rule}", "(chain\u00a0rule)"),
        (r"\tag{\text{chain rule}, 50\%}", "(chain rule, 50%)"),
    ],
)
def test_a_tag_is_words(tag, shown):
    assert Notation().convert(f"x {tag}").tags == [shown]


@pytest.mark.parametrize("tag", [r"$\ast$", r"\ref{x}", r"\textbf{a}", r"by $y = 1$"])
def test_a_tag_that_is_more_than_words_is_an_error_of_the_formula(tag):
    with pytest.raises(TexError, match=r"a .tag holds words only"):
        Notation().convert(f"x \\tag{{{tag}}}")


@pytest.mark.parametrize(
    "last", [r"\color{red}b", r"b\hspace{1em}", r"b\phantom{x}", r"b\fbox{x}"]
)
@pytest.mark.parametrize(
    "rows",
    [
        r"\begin{pmatrix}a&%s\\c&d\end{pmatrix}",
        r"x\begin{aligned}a&%s\\c&d\end{aligned}",
        r"\substack{a%s\\c}",
        r"{a%s \atop c}",
    ],
)
def test_a_row_ends_where_it_ends_whatever_stands_last_in_it(rows, last):
    page = export(markdown(f"$${rows % last}$$"))
    first, second = page.find("𝑎"), page.find("𝑐")
    assert page.find("𝑏").middle > second.top
    assert abs(first.left - second.left) < 3 * first.height
