"""Names of TeX, amsmath and amssymb symbols with their Unicode characters."""

_TABLE = """
alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι
kappa κ varkappa ϰ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ
varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω digamma ϝ
Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
aleph ℵ beth ℶ gimel ℷ daleth ℸ hbar ℏ hslash ℏ imath ı jmath ȷ ell ℓ wp ℘ Re ℜ Im ℑ partial ∂
infty ∞ prime ′ backprime ‵ emptyset ∅ varnothing ∅ nabla ∇ surd √ top ⊤ bot ⊥ angle ∠
measuredangle ∡ sphericalangle ∢ triangle △ forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ flat ♭
natural ♮ sharp ♯ clubsuit ♣ diamondsuit ♢ heartsuit ♡ spadesuit ♠ complement ∁ mho ℧ eth ð
Finv Ⅎ Game ⅁ Bbbk 𝕜 bigstar ★ blacksquare ■ square □ Box □ Diamond ◇ lozenge ◊ blacklozenge ⧫
checkmark ✓ maltese ✠ circledR ® circledS Ⓢ degree ° dagger † ddagger ‡ dag † ddag ‡ S § P ¶
copyright © pounds £ yen ¥ euro € AA Å aa å ae æ AE Æ oe œ OE Œ o ø O Ø ss ß
sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcap ⋂ bigcup ⋃ bigsqcup ⨆
bigvee ⋁ bigwedge ⋀ bigodot ⨀ bigotimes ⨂ bigoplus ⨁ biguplus ⨄ smallint ∫
pm ± mp ∓ times × div ÷ ast ∗ star ⋆ circ ∘ bullet ∙ cdot ⋅ cap ∩ cup ∪ uplus ⊎ sqcap ⊓
sqcup ⊔ vee ∨ lor ∨ wedge ∧ land ∧ setminus ∖ smallsetminus ∖ wr ≀ diamond ⋄
bigtriangleup △ bigtriangledown ▽ triangleleft ◁ triangleright ▷ lhd ⊲ rhd ⊳ unlhd ⊴ unrhd ⊵
oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙ bigcirc ◯ amalg ⨿ dotplus ∔ ltimes ⋉ rtimes ⋊
leftthreetimes ⋋ rightthreetimes ⋌ curlywedge ⋏ curlyvee ⋎ circledast ⊛ circledcirc ⊚
circleddash ⊝ boxplus ⊞ boxminus ⊟ boxtimes ⊠ boxdot ⊡ divideontimes ⋇ centerdot ⋅ intercal ⊺
Cap ⋒ Cup ⋓ doublecap ⋒ doublecup ⋓ barwedge ⊼ veebar ⊻ doublebarwedge ⩞
leq ≤ le ≤ geq ≥ ge ≥ ll ≪ gg ≫ lll ⋘ ggg ⋙ leqq ≦ geqq ≧ leqslant ⩽ geqslant ⩾ lt < gt >
prec ≺ succ ≻ preceq ⪯ succeq ⪰ preccurlyeq ≼ succcurlyeq ≽ lesssim ≲ gtrsim ≳ lessapprox ⪅
gtrapprox ⪆ lessgtr ≶ gtrless ≷ lesseqgtr ⋚ gtreqless ⋛ sim ∼ simeq ≃ backsim ∽ backsimeq ⋍
approx ≈ approxeq ≊ cong ≅ equiv ≡ doteq ≐ doteqdot ≑ Doteq ≑ fallingdotseq ≒ risingdotseq ≓
eqcirc ≖ circeq ≗ triangleq ≜ bumpeq ≏ Bumpeq ≎ asymp ≍ propto ∝ varpropto ∝ thicksim ∼
thickapprox ≈ coloneqq ≔ eqqcolon ≕ coloneq ≔
in ∈ ni ∋ owns ∋ notin ∉ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋
subseteqq ⫅ supseteqq ⫆ Subset ⋐ Supset ⋑ sqsubset ⊏ sqsupset ⊐ sqsubseteq ⊑ sqsupseteq ⊒
nsubseteq ⊈ nsupseteq ⊉ mid ∣ nmid ∤ parallel ∥ nparallel ∦ shortmid ∣ shortparallel ∥ perp ⟂
vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ Vvdash ⊪ nvdash ⊬ nvDash ⊭ smile ⌣ frown ⌢ bowtie ⋈
Join ⋈ pitchfork ⋔ between ≬ therefore ∴ because ∵ ne ≠ neq ≠ nless ≮ ngtr ≯ nleq ≰ ngeq ≱
nsim ≁ ncong ≇ nprec ⊀ nsucc ⊁ lneq ⪇ gneq ⪈ lneqq ≨ gneqq ≩ trianglelefteq ⊴
trianglerighteq ⊵ vartriangleleft ⊲ vartriangleright ⊳ ntriangleleft ⋪ ntriangleright ⋫
to → rightarrow → leftarrow ← gets ← uparrow ↑ downarrow ↓ leftrightarrow ↔ updownarrow ↕
Rightarrow ⇒ Leftarrow ⇐ Uparrow ⇑ Downarrow ⇓ Leftrightarrow ⇔ Updownarrow ⇕ implies ⟹
impliedby ⟸ iff ⟺ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹
Longleftarrow ⟸ Longleftrightarrow ⟺ mapsto ↦ longmapsto ⟼ hookrightarrow ↪ hookleftarrow ↩
rightharpoonup ⇀ rightharpoondown ⇁ leftharpoonup ↼ leftharpoondown ↽ rightleftharpoons ⇌
leftrightharpoons ⇋ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ leadsto ⇝ rightsquigarrow ⇝
twoheadrightarrow ↠ twoheadleftarrow ↞ rightarrowtail ↣ leftarrowtail ↢ nrightarrow ↛
nleftarrow ↚ nRightarrow ⇏ nLeftarrow ⇍ nleftrightarrow ↮ nLeftrightarrow ⇎ rightrightarrows ⇉
leftleftarrows ⇇ rightleftarrows ⇄ leftrightarrows ⇆ upuparrows ⇈ downdownarrows ⇊
circlearrowleft ↺ circlearrowright ↻ curvearrowleft ↶ curvearrowright ↷ Lsh ↰ Rsh ↱ multimap ⊸
Rrightarrow ⇛ Lleftarrow ⇚ upharpoonright ↾ upharpoonleft ↿ restriction ↾ dashrightarrow
⇢ dashleftarrow ⇠
ldots … dots … dotsc … dotso … cdots ⋯ dotsb ⋯ dotsm ⋯ dotsi ⋯ vdots ⋮ ddots ⋱ iddots ⋰
lbrace { rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋
lvert | rvert | vert | lVert ‖ rVert ‖ Vert ‖ llbracket ⟦ rrbracket ⟧ ulcorner ⌜ urcorner ⌝
llcorner ⌞ lrcorner ⌟ lgroup ⟮ rgroup ⟯ lmoustache ⎰ rmoustache ⎱ backslash \\ colon : slash /
ldotp . cdotp ⋅ textbackslash \\ textasciitilde ~ And & lbrbrak ❲ rbrbrak ❳
"""

_words = _TABLE.split()
SYMBOLS: dict[str, str] = dict(zip(_words[::2], _words[1::2], strict=True))

#: Named operators, and whether their scripts stand above and below.
_BESIDE = """
arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan
tanh
"""
_ABOVE = "det gcd inf injlim lim liminf limsup max min Pr projlim sup"
OPERATORS: dict[str, bool] = dict.fromkeys(_BESIDE.split(), False) | dict.fromkeys(
    _ABOVE.split(), True
)

#: What \\not makes of a relation.
NEGATED: dict[str, str] = dict(
    zip("=∈<>≤≥∼≅≡≈⊂⊃⊆⊇∣∥∃∋→⇒↔≺≻", "≠∉≮≯≰≱≁≇≢≉⊄⊅⊈⊉∤∦∄∌↛⇏↮⊀⊁", strict=True)
)
