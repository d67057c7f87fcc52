# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stopping power needs to know of the elements."""

from __future__ import annotations

from dataclasses import dataclass

#: Symbol, Z/A (mol/g) and mean excitation energy (eV) of the elements in order of Z, as in
#: NIST ESTAR (https://physics.nist.gov/PhysRefData/Star/Text/ESTAR.html), which are those of ICRU
#: Report 37 (1984): H, N, O, F, Cl, Br and the noble gases as gases, carbon as graphite.
_TABLE = """
H 0.99212 19.2; He 0.49968 41.8; Li 0.43221 40; Be 0.44384 63.7; B 0.46245 76; C 0.49954 78; N
0.49976 82; O 0.50002 95; F 0.47372 115; Ne 0.49555 137; Na 0.47847 149; Mg 0.49373 156; Al
0.48181 166; Si 0.49848 173; P 0.48428 173; S 0.49897 180; Cl 0.47951 174; Ar 0.45059 188; K
0.48595 190; Ca 0.49903 191; Sc 0.46712 216; Ti 0.45948 233; V 0.45150 245; Cr 0.46157 257; Mn
0.45506 272; Fe 0.46556 286; Co 0.45815 297; Ni 0.47708 311; Cu 0.45636 322; Zn 0.45879 330; Ga
0.44462 334; Ge 0.44071 350; As 0.44046 347; Se 0.43060 348; Br 0.43803 343; Kr 0.42959 352; Rb
0.43291 363; Sr 0.43369 366; Y 0.43867 379; Zr 0.43848 393; Nb 0.44130 417; Mo 0.43777 424; Tc
0.43919 428; Ru 0.43534 441; Rh 0.43729 449; Pd 0.43225 470; Ag 0.43572 470; Cd 0.42700 469; In
0.42676 488; Sn 0.42120 488; Sb 0.41889 487; Te 0.40752 485; I 0.41764 491; Xe 0.41130 482; Cs
0.41383 488; Ba 0.40779 491; La 0.41035 501; Ce 0.41395 523; Pr 0.41871 535; Nd 0.41597 546; Pm
0.42094 560; Sm 0.41234 574; Eu 0.41457 580; Gd 0.40699 591; Tb 0.40900 614; Dy 0.40615 628; Ho
0.40623 650; Er 0.40655 658; Tm 0.40844 674; Yb 0.40453 684; Lu 0.40579 694; Hf 0.40338 705; Ta
0.40343 718; W 0.40250 727; Re 0.40278 736; Os 0.39958 746; Ir 0.40058 757; Pt 0.39984 790; Au
0.40108 790; Hg 0.39882 800; Tl 0.39631 810; Pb 0.39575 823; Bi 0.39717 823; Po 0.40195 830; At
0.40479 825; Rn 0.38736 794; Fr 0.39010 827; Ra 0.38934 826; Ac 0.39202 841; Th 0.38787 847; Pa
0.39388 878; U 0.38651 890
"""

#: Mean excitation energies (eV) of atoms in a liquid or solid compound, and the factor for all
#: others: ICRU Report 37, table 5.1; S. M. Seltzer and M. J. Berger, Int. J. Appl. Radiat. Isot.
#: 33, 1189 (1982), doi:10.1016/0020-708X(82)90244-7.
_IN_COMPOUNDS_EV = {"H": 19.2, "C": 81.0, "N": 82.0, "O": 106.0, "F": 112.0, "Cl": 180.0}
_OTHERS_IN_COMPOUNDS = 1.13


@dataclass(frozen=True)
class Element:
    """An element as a moderator of electrons.

    Parameters
    ----------
    number
        Atomic number Z.
    z_over_a
        Z/A in mol/g.
    excitation_ev
        Mean excitation energy of the pure element in eV.
    excitation_in_compounds_ev
        The same for its atoms in a liquid or solid compound.
    """

    number: int
    z_over_a: float
    excitation_ev: float
    excitation_in_compounds_ev: float

    @property
    def mass(self) -> float:
        """Molar mass in g/mol."""
        return self.number / self.z_over_a


def _elements() -> dict[str, Element]:
    found = {}
    for number, row in enumerate(_TABLE.replace("\n", " ").split(";"), start=1):
        symbol, z_over_a, excitation = row.split()
        pure = float(excitation)
        bound = _IN_COMPOUNDS_EV.get(symbol, _OTHERS_IN_COMPOUNDS * pure)
        found[symbol] = Element(number, float(z_over_a), pure, bound)
    return found


#: The elements from hydrogen to uranium by their symbols.
ELEMENTS = _elements()
