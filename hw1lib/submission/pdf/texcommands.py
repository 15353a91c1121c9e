"""What each TeX command becomes in Typst math, as tables.

`{0}` is a command's first argument. A word after a colon names the parser's reader for it:
`{0:word}` is one word where it is letters only, `{0:length}` a distance, and so on.
"""

import re
import unicodedata
from dataclasses import dataclass

_SYMBOLS = """
alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι
kappa κ varkappa ϰ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ
varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω digamma ϝ Gamma Γ Delta Δ Theta Θ
Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω aleph ℵ beth ℶ gimel ℷ daleth ℸ hbar ℏ
hslash ℏ imath ı jmath ȷ ell ℓ wp ℘ Re ℜ Im ℑ partial ∂ infty ∞ prime ′ backprime ‵ emptyset ∅
varnothing ∅ nabla ∇ surd √ top ⊤ bot ⊥ angle ∠ measuredangle ∡ sphericalangle ∢ triangle △
forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ flat ♭ natural ♮ sharp ♯ clubsuit ♣ diamondsuit ♢
heartsuit ♡ spadesuit ♠ complement ∁ mho ℧ eth ð Finv Ⅎ Game ⅁ Bbbk 𝕜 bigstar ★ blacksquare ■
square □ Box □ Diamond ◇ lozenge ◊ blacklozenge ⧫ checkmark ✓ maltese ✠ circledR ® circledS Ⓢ
degree ° dagger † ddagger ‡ dag † ddag ‡ S § P ¶ copyright © pounds £ yen ¥ euro € AA Å aa å
ae æ AE Æ oe œ OE Œ o ø O Ø ss ß sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯
bigcap ⋂ bigcup ⋃ bigsqcup ⨆ bigvee ⋁ bigwedge ⋀ bigodot ⨀ bigotimes ⨂ bigoplus ⨁ biguplus ⨄
smallint ∫ pm ± mp ∓ times × div ÷ ast ∗ star ⋆ circ ∘ bullet ∙ cdot ⋅ cap ∩ cup ∪ uplus ⊎
sqcap ⊓ sqcup ⊔ vee ∨ lor ∨ wedge ∧ land ∧ setminus ∖ smallsetminus ∖ wr ≀ diamond ⋄
bigtriangleup △ bigtriangledown ▽ triangleleft ◁ triangleright ▷ lhd ⊲ rhd ⊳ unlhd ⊴ unrhd ⊵
oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙ bigcirc ◯ amalg ⨿ dotplus ∔ ltimes ⋉ rtimes ⋊
leftthreetimes ⋋ rightthreetimes ⋌ curlywedge ⋏ curlyvee ⋎ circledast ⊛ circledcirc ⊚
circleddash ⊝ boxplus ⊞ boxminus ⊟ boxtimes ⊠ boxdot ⊡ divideontimes ⋇ centerdot ⋅ intercal ⊺
Cap ⋒ Cup ⋓ doublecap ⋒ doublecup ⋓ barwedge ⊼ veebar ⊻ doublebarwedge ⩞ leq ≤ le ≤ geq ≥ ge ≥
ll ≪ gg ≫ lll ⋘ ggg ⋙ leqq ≦ geqq ≧ leqslant ⩽ geqslant ⩾ lt < gt > prec ≺ succ ≻ preceq ⪯
succeq ⪰ preccurlyeq ≼ succcurlyeq ≽ lesssim ≲ gtrsim ≳ lessapprox ⪅ gtrapprox ⪆ lessgtr ≶
gtrless ≷ lesseqgtr ⋚ gtreqless ⋛ sim ∼ simeq ≃ backsim ∽ backsimeq ⋍ approx ≈ approxeq ≊ cong ≅
equiv ≡ doteq ≐ doteqdot ≑ Doteq ≑ fallingdotseq ≒ risingdotseq ≓ eqcirc ≖ circeq ≗ triangleq ≜
bumpeq ≏ Bumpeq ≎ asymp ≍ propto ∝ varpropto ∝ thicksim ∼ thickapprox ≈ coloneqq ≔ eqqcolon ≕
coloneq ≔ in ∈ ni ∋ owns ∋ notin ∉ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊
supsetneq ⊋ subseteqq ⫅ supseteqq ⫆ Subset ⋐ Supset ⋑ sqsubset ⊏ sqsupset ⊐ sqsubseteq ⊑
sqsupseteq ⊒ nsubseteq ⊈ nsupseteq ⊉ mid ∣ nmid ∤ parallel ∥ nparallel ∦ shortmid ∣
shortparallel ∥ perp ⟂ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ Vvdash ⊪ nvdash ⊬ nvDash ⊭
smile ⌣ frown ⌢ bowtie ⋈ Join ⋈ pitchfork ⋔ between ≬ therefore ∴ because ∵ ne ≠ neq ≠ nless ≮
ngtr ≯ nleq ≰ ngeq ≱ nsim ≁ ncong ≇ nprec ⊀ nsucc ⊁ lneq ⪇ gneq ⪈ lneqq ≨ gneqq ≩
trianglelefteq ⊴ trianglerighteq ⊵ vartriangleleft ⊲ vartriangleright ⊳ ntriangleleft ⋪
ntriangleright ⋫ to → rightarrow → leftarrow ← gets ← uparrow ↑ downarrow ↓ leftrightarrow ↔
updownarrow ↕ Rightarrow ⇒ Leftarrow ⇐ Uparrow ⇑ Downarrow ⇓ Leftrightarrow ⇔ Updownarrow ⇕
longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹ Longleftarrow ⟸
Longleftrightarrow ⟺ mapsto ↦ longmapsto ⟼ hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀
rightharpoondown ⇁ leftharpoonup ↼ leftharpoondown ↽ rightleftharpoons ⇌ leftrightharpoons ⇋
nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ leadsto ⇝ rightsquigarrow ⇝ twoheadrightarrow ↠
twoheadleftarrow ↞ rightarrowtail ↣ leftarrowtail ↢ nrightarrow ↛ nleftarrow ↚ nRightarrow ⇏
nLeftarrow ⇍ nleftrightarrow ↮ nLeftrightarrow ⇎ rightrightarrows ⇉ leftleftarrows ⇇
rightleftarrows ⇄ leftrightarrows ⇆ upuparrows ⇈ downdownarrows ⇊ circlearrowleft ↺
circlearrowright ↻ curvearrowleft ↶ curvearrowright ↷ Lsh ↰ Rsh ↱ multimap ⊸ Rrightarrow ⇛
Lleftarrow ⇚ upharpoonright ↾ upharpoonleft ↿ restriction ↾ dashrightarrow ⇢ dashleftarrow ⇠
ldots … dotsc … dotso … cdots ⋯ dotsb ⋯ dotsm ⋯ dotsi ⋯ vdots ⋮ ddots ⋱ iddots ⋰ lbrace {
rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ vert | Vert ‖
llbracket ⟦ rrbracket ⟧ ulcorner ⌜ urcorner ⌝ lgroup ⟮ rgroup ⟯ lmoustache ⎰ rmoustache ⎱
backslash \\ slash / ldotp . cdotp ⋅ textbackslash \\ textasciitilde ~ intop ∫ iiiint ⨌
triangledown ▽ blacktriangle ▴ blacktriangledown ▾ vartriangle △ blacktriangleleft ◂
blacktriangleright ▸ diagup ╱ diagdown ╲ eqslantless ⪕ eqslantgtr ⪖ lessdot ⋖ gtrdot ⋗ llless ⋘
gggtr ⋙ lesseqqgtr ⪋ gtreqqless ⪌ curlyeqprec ⋞ curlyeqsucc ⋟ precsim ≾ succsim ≿ precapprox ⪷
succapprox ⪸ smallsmile ⌣ smallfrown ⌢ backepsilon ∍ eqsim ≂ nleqslant ⪇ ngeqslant ⪈ nleqq ≰
ngeqq ≱ lvertneqq ≨ gvertneqq ≩ lnsim ⋦ gnsim ⋧ lnapprox ⪉ gnapprox ⪊ npreceq ⋠ nsucceq ⋡
precneqq ⪵ succneqq ⪶ precnsim ⋨ succnsim ⋩ precnapprox ⪹ succnapprox ⪺ nshortmid ∤
nshortparallel ∦ nVdash ⊮ nVDash ⊯ ntrianglelefteq ⋬ ntrianglerighteq ⋭ nsubseteqq ⊈
nsupseteqq ⊉ varsubsetneq ⊊ varsupsetneq ⊋ subsetneqq ⫋ supsetneqq ⫌ varsubsetneqq ⫋
varsupsetneqq ⫌ looparrowleft ↫ looparrowright ↬ downharpoonleft ⇃ downharpoonright ⇂
leftrightsquigarrow ↭ ohm Ω textdegree ° texttrademark ™ textregistered ® textcopyright ©
textbullet • textquoteleft ‘ textquoteright ’ textquotedblleft “ textquotedblright ”
textendash – textemdash — varGamma 𝛤 varDelta 𝛥 varTheta 𝛩 varLambda 𝛬 varXi 𝛯 varPi 𝛱
varSigma 𝛴 varUpsilon 𝛶 varPhi 𝛷 varPsi 𝛹 varOmega 𝛺
"""
_SPELLINGS = {"-": "−", "*": "∗", "`": '"‘"'}


@dataclass(frozen=True)
class Command:
    """Typst with a place `{0}` for each argument, and how the arguments are read."""

    typst: str
    kinds: tuple[str, ...] = ()


def _command(pattern: str) -> Command:
    kinds = dict(re.findall(r"\{(\d):?(\w*)\}", pattern))
    return Command(re.sub(r":\w+\}", "}", pattern), tuple(kinds[i] for i in sorted(kinds)))


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _commands(table: str) -> dict[str, Command]:
    """Commands from lines `names : pattern`."""
    lines = (line.split(" : ") for line in table.strip().splitlines())
    return {name: _command(typst) for names, typst in lines for name in names.split()}


_BY_NAME = _pairs(_SYMBOLS)
_MATHEMATICAL = frozenset("".join(_BY_NAME.values()) + "′″‴⟨⟩⌈⌉⌊⌋‖…")
# Typst would stretch these to a partner, miss the partner, or take what follows for a radicand.
_STRETCHED = "⟨⟩⌈⌉⌊⌋⟦⟧⌜⌝⌞⌟⟮⟯⎰⎱❲❳√"


def quoted(text: str) -> str:
    """A Typst string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def character(char: str) -> str:
    """Typst math for one literal character; nothing in it is ever markup."""
    if char in _SPELLINGS:
        return _SPELLINGS[char]
    if char.isascii() or char in _STRETCHED:
        return char if char.isalnum() else "\\" + char
    mathematical = unicodedata.category(char) == "Sm" or char in _MATHEMATICAL
    return char if mathematical else quoted(char)


#: Symbols; TeX sets capital Greek letters upright.
SYMBOLS = {
    name: f"upright({char})" if char in "ΓΔΘΛΞΠΣΥΦΨΩ" else character(char)
    for name, char in _BY_NAME.items()
}
_FENCES = """
lbrace rbrace lbrack rbrack langle rangle lceil rceil lfloor rfloor vert Vert ulcorner urcorner
llbracket rrbracket lgroup rgroup lmoustache rmoustache backslash uparrow downarrow updownarrow
Uparrow Downarrow Updownarrow
"""
#: What \\left, \\right, \\middle and \\big take; a dot is an empty atom.
DELIMITERS = {
    **{char: "\\" + char for char in "()[]|/"},
    **{f"\\{char}": f"\\{char}" for char in "{}"},
    **{f"\\{name}": SYMBOLS[name] for name in _FENCES.split()},
    **{"<": "\\⟨", ">": "\\⟩", ".": '""', "\\|": "‖"},
    **dict.fromkeys(("\\lvert", "\\rvert"), "\\|"),
    **dict.fromkeys(("\\lVert", "\\rVert"), "‖"),
}
#: What \\not makes of a relation.
NEGATED = dict(zip("=∈<>≤≥∼≅≡≈⊂⊃⊆⊇∣∥∃∋→⇒↔≺≻", "≠∉≮≯≰≱≁≇≢≉⊄⊅⊈⊉∤∦∄∌↛⇏↮⊀⊁", strict=True))

_BESIDE = """
arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan
tanh
"""
_ABOVE = "det gcd inf lim max min Pr sup"
_ACCENTS = """
hat hat widehat hat tilde tilde widetilde tilde bar macron vec arrow overrightarrow arrow
overleftarrow arrow.l overleftrightarrow arrow.l.r dot dot ddot dot.double dddot dot.triple
check caron breve breve acute acute grave grave mathring circle overline overline
underline underline cancel cancel
"""
_BRACES = "overbrace underbrace overbracket underbracket"
_CLASSES = """
mathrel relation mathbin binary mathord normal mathinner normal mathopen opening
mathclose closing mathpunct punctuation
"""
_BIG = {"big": 1.2, "Big": 1.8, "bigg": 2.4, "Bigg": 3}
_SIDES = {"": "{}", "l": 'class("opening", {})', "r": 'class("closing", {})',
          "m": 'class("relation", {})'}  # fmt: skip
_SIZES = """
Tiny 0.6 tiny 0.5 scriptsize 0.7 small 0.85 footnotesize 0.85 normalsize 1 large 1.2 Large 1.44
LARGE 1.73 huge 2.07 Huge 2.49
"""
_NOTHING = "relax displaylimits allowbreak nobreak mathstrut strut protect hfill"
_ROOM = """
, thin : med > med ; thick quad quad qquad wide thinspace thin medspace med thickspace thick
nobreakspace space space space enspace #h(0.5em) ! #h(-0.1667em) negthinspace #h(-0.1667em)
"""
_ARROWS = """
xrightarrow → xleftarrow ← xleftrightarrow ↔ xRightarrow ⇒ xLeftarrow ⇐ xLeftrightarrow ⇔
xmapsto ↦ xlongequal = xrightleftharpoons ⇌ xhookrightarrow ↪
"""
_LONGER = "size: #(100% + 0.8em)"
_WHOLE = 'top-edge: "bounds", bottom-edge: "bounds"'  # nothing sticks out of the frame
_LA = '"L"#h(-0.33em)#box(baseline: -0.21em, text(0.7em, "A"))#h(-0.17em)'
_TEX = '"T"#h(-0.14em)#box(baseline: 0.22em, "E")#h(-0.12em)"X"'
#: Commands whose last argument is all that follows in their group.
SWITCHES = _commands("""
displaystyle : display({0})
textstyle : inline({0})
scriptstyle : script({0})
scriptscriptstyle : sscript({0})
rm : upright({0})
bf : bold(upright({0}))
it : italic({0})
cal : cal({0})
sf : sans({0})
tt : mono({0})
color : #text(fill: {0:color}, ${1}$)
""") | {
    name: _command(f"#text(size: {size}em, ${{0}}$)") for name, size in _pairs(_SIZES).items()
}  # fmt: skip
#: Commands with the arguments that their places ask for.
COMMANDS = {
    **SWITCHES,
    **{name: Command(typst) for name, typst in (SYMBOLS | _pairs(_ROOM)).items()},
    **dict.fromkeys((" ", "\n"), Command("space")),
    **dict.fromkeys(_NOTHING.split(), Command("")),
    **{char: Command("\\" + char) for char in "{}$&#%_"},
    "TeX": Command(f"upright({_TEX})"),
    "LaTeX": Command(f"upright({_LA}{_TEX})"),
    "boxed": _command(f"#box(stroke: 0.5pt, inset: 3pt, text({_WHOLE}, $display({{0}})$))"),
    **{name: Command(f'op("{name}", limits: #false)') for name in _BESIDE.split()},
    **{name: Command(f'op("{name}", limits: #true)') for name in _ABOVE.split()},
    **{name: _command(f"{accent}({{0}})") for name, accent in _pairs(_ACCENTS).items()},
    **{name: _command(f"limits({name}({{0}}))") for name in _BRACES.split()},
    **{name: _command(f'class("{kind}", {{0}})') for name, kind in _pairs(_CLASSES).items()},
    **{
        size + side: _command(shape.format(f"lr(size: #{em}em, {{0:delimiter}})"))
        for size, em in _BIG.items()
        for side, shape in _SIDES.items()
    },
    **{
        name: _command(
            f"attach(limits(stretch({arrow}, {_LONGER})), b: {{0:option}}, t: {{1}})"
        )
        for name, arrow in _pairs(_ARROWS).items()
    },
    **_commands(r"""
left : lr({0:fenced})
begin : {0:environment}
sqrt : root({0:option}, {1})
not : {0:negated}
dots : {0:dots}
eqref : #ref-to({0:reference})
ref : #ref-to({0:reference}.trim(regex("[()]")))
verb : mono({0:verbatim})
mathbf mathbfup : bold(upright({0:word}))
mathsf : sans({0:word})
mathtt : mono({0:word})
mathit : italic({0:word})
mathrm mathup : upright({0:word})
boldsymbol bm pmb : bold({0})
mathcal : cal({0})
mathscr : scr({0})
mathbb Bbb : bb({0})
mathfrak : frak({0})
mathnormal : italic({0})
operatorname : op(upright({0:word}), limits: #false)
operatorname* : op(upright({0:word}), limits: #true)
frac : frac({0}, {1})
dfrac cfrac : display(frac({0}, {1}))
tfrac : inline(frac({0}, {1}))
binom : binom({0}, {1})
dbinom : display(binom({0}, {1}))
tbinom : inline(binom({0}, {1}))
overset stackrel : attach(limits({1}), t: {0})
underset : attach(limits({1}), b: {0})
bcancel : cancel(inverted: #true, {0})
xcancel : cancel(cross: #true, {0})
cancelto : attach(cancel({1}), tr: {0})
mathop : limits(inline: #false, class("large", {0}))
liminf : op("lim inf", limits: #true)
limsup : op("lim sup", limits: #true)
bmod : class("binary", "mod")
pmod : quad \( "mod" thin {0} \)
pod : quad \( {0} \)
phantom : #hide(${0}$)
vphantom : #box(width: 400pt, hide(${0}$) + h(1fr))#h(-400pt)
hphantom : #box(height: 0pt, hide(${0}$))
textcolor : #text(fill: {0:color}, ${1}$)
hspace hspace* hskip kern mskip mkern mspace : #h({0:length})
raisedrule : #box(width: {1:length}, height: {2:length}, baseline: -({0:length}), fill: black)
middle : mid({0:delimiter})
lvert : class("opening", \|)
rvert : class("closing", \|)
lVert : class("opening", ‖)
rVert : class("closing", ‖)
colon : class("punctuation", \:)
| : class("normal", ‖)
"""),
}
#: Commands whose argument is words.
TEXTS = _commands("""
text textrm textnormal mbox hbox textup : upright({0})
textbf : bold({0})
textit emph : italic({0})
texttt : mono({0})
textsf : sans({0})
""")
#: What characters and commands are in words.
TEXT_CHARACTERS = {
    "~": "\u00a0", "\\ ": " ", "\\,": "\u2009", "\\:": " ", "\\;": " ", "\\!": "",
    "\\quad": "\u2003", "\\qquad": "\u2003\u2003", "{": "", "}": "",
    **{"\\" + char: char for char in "{}$&#%_"},
}  # fmt: skip
_MATRICES = "pmatrix () bmatrix [] Bmatrix {} vmatrix || Vmatrix ‖‖"
_CASES = "row-gap: #0.5em, column-gap: #1em"
#: Environments of rows and columns, as options of a Typst matrix.
MATRICES = {
    **dict.fromkeys(("matrix", "array", "smallmatrix"), "delim: #none"),
    **{name: f'delim: #("{pair[0]}", "{pair[1]}")' for name, pair in _pairs(_MATRICES).items()},
    **dict.fromkeys(("cases", "dcases"), f'delim: #("{{", none), {_CASES}'),
    "rcases": f'delim: #(none, "}}"), {_CASES}',
    "subarray": "delim: #none, row-gap: #0.15em",
}
#: Commands between what stands above and what stands below.
INFIX = _commands("""
over : frac({0}, {1})
choose : binom({0}, {1})
atop : mat(delim: #none, {0} ; {1})
""")
#: Shorthands, in TeX. A notebook may give the names another meaning.
SHORTHANDS = r"""
\def\cr{\\}
\def\newline{\\}
\def\mod#1{\quad\text{mod}\,\,#1}
\def\iff{\;\Longleftrightarrow\;}
\def\implies{\;\Longrightarrow\;}
\def\impliedby{\;\Longleftarrow\;}
\def\bra#1{{\langle{#1}\rvert}}
\def\ket#1{{\lvert{#1}\rangle}}
\def\braket#1{{\langle{#1}\rangle}}
\def\ketbra#1#2{{\lvert{#1}\rangle\langle{#2}\rvert}}
\def\set#1{{\{#1\}}}
\def\idotsint{\int\cdots\int}
\newcommand\rule[3][0pt]{\raisedrule{#1}{#2}{#3}}
\newcommand\smash[2][]{#2}
\def\fbox#1{\boxed{\text{#1}}}
\def\class#1#2{#2}
\def\cssId#1#2{#2}
\def\style#1#2{#2}
\def\leftroot#1{}
\def\uproot#1{}
\def\substack#1{\begin{subarray}{c}#1\end{subarray}}
\def\matrix#1{\begin{matrix}#1\end{matrix}}
\def\pmatrix#1{\begin{pmatrix}#1\end{pmatrix}}
\def\cases#1{\begin{cases}#1\end{cases}}
\def\eqalign#1{\begin{aligned}#1\end{aligned}}
\def\hdashline{\hline}
"""
