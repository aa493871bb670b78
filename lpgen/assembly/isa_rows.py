"""The instruction table itself: rows of text, read by isa.py.

A row is ``mnemonic operands word [flags]``. The word is the Power ISA's primary opcode, then optionally a letter and
the extended opcode: ``x`` shifts it left by 1 (X, XO, XL, A, MDS forms), ``m`` by 2 (MD, XS forms), ``p`` by 3 (XX3
form), ``d`` by 0 (DS, DQ, VX, VA forms); ``|hex`` ors further fixed bits in. ``[.]`` in a mnemonic stands for the Rc
variant. Operand names are the fields in isa.KINDS. Flags: ``lu`` load with update (RA neither 0 nor RT),
``su`` other update forms (RA not 0), ``cap`` Keystone 0.9.2 does not know it: capstone confirms the word instead.

An alias row is ``mnemonic operands = base operands``: right of the equals sign stand numbers, operand names (passed
through, relocations included) or expressions of operand names without blanks (w64(n) and w32(n) turn a rotation by the
whole width into 0). ``base`` as a flag after ``;`` hands Keystone the base instruction, because it does not know the
alias or gets it wrong.
"""

ROWS = """
lbz rt,d 34
lbzu rt,d 35 lu
lbzx rt,ra0,rb 31x87
lbzux rt,ra,rb 31x119 lu
lhz rt,d 40
lhzu rt,d 41 lu
lhzx rt,ra0,rb 31x279
lhzux rt,ra,rb 31x311 lu
lha rt,d 42
lhau rt,d 43 lu
lhax rt,ra0,rb 31x343
lhaux rt,ra,rb 31x375 lu
lwz rt,d 32
lwzu rt,d 33 lu
lwzx rt,ra0,rb 31x23
lwzux rt,ra,rb 31x55 lu
lwa rt,ds 58d2
lwax rt,ra0,rb 31x341
lwaux rt,ra,rb 31x373 lu
ld rt,ds 58d0
ldu rt,ds 58d1 lu
ldx rt,ra0,rb 31x21
ldux rt,ra,rb 31x53 lu
lhbrx rt,ra0,rb 31x790
lwbrx rt,ra0,rb 31x534
ldbrx rt,ra0,rb 31x532
stb rs,d 38
stbu rs,d 39 su
stbx rs,ra0,rb 31x215
stbux rs,ra,rb 31x247 su
sth rs,d 44
sthu rs,d 45 su
sthx rs,ra0,rb 31x407
sthux rs,ra,rb 31x439 su
stw rs,d 36
stwu rs,d 37 su
stwx rs,ra0,rb 31x151
stwux rs,ra,rb 31x183 su
std rs,ds 62d0
stdu rs,ds 62d1 su
stdx rs,ra0,rb 31x149
stdux rs,ra,rb 31x181 su
sthbrx rs,ra0,rb 31x918
stwbrx rs,ra0,rb 31x662
stdbrx rs,ra0,rb 31x660
lbarx rt,ra0,rb 31x52
lbarx rt,ra0,rb,eh 31x52
lharx rt,ra0,rb 31x116
lharx rt,ra0,rb,eh 31x116
lwarx rt,ra0,rb 31x20
lwarx rt,ra0,rb,eh 31x20
ldarx rt,ra0,rb 31x84
ldarx rt,ra0,rb,eh 31x84
stbcx. rs,ra0,rb 31x694|1
sthcx. rs,ra0,rb 31x726|1
stwcx. rs,ra0,rb 31x150|1
stdcx. rs,ra0,rb 31x214|1
lfs frt,d 48
lfsu frt,d 49 su
lfsx frt,ra0,rb 31x535
lfsux frt,ra,rb 31x567 su
lfd frt,d 50
lfdu frt,d 51 su
lfdx frt,ra0,rb 31x599
lfdux frt,ra,rb 31x631 su
lfiwax frt,ra0,rb 31x855
lfiwzx frt,ra0,rb 31x887
stfs frs,d 52
stfsu frs,d 53 su
stfsx frs,ra0,rb 31x663
stfsux frs,ra,rb 31x695 su
stfd frs,d 54
stfdu frs,d 55 su
stfdx frs,ra0,rb 31x727
stfdux frs,ra,rb 31x759 su
stfiwx frs,ra0,rb 31x983

addi rt,ra0,si 14
addis rt,ra0,sis 15
addic rt,ra,si 12
addic. rt,ra,si 13
subfic rt,ra,si 8
mulli rt,ra,si 7
addpcis rt,dx 19x2 cap
add[.] rt,ra,rb 31x266
addc[.] rt,ra,rb 31x10
adde[.] rt,ra,rb 31x138
addme[.] rt,ra 31x234
addze[.] rt,ra 31x202
subf[.] rt,ra,rb 31x40
subfc[.] rt,ra,rb 31x8
subfe[.] rt,ra,rb 31x136
subfme[.] rt,ra 31x232
subfze[.] rt,ra 31x200
neg[.] rt,ra 31x104
mullw[.] rt,ra,rb 31x235
mulld[.] rt,ra,rb 31x233
mulhw[.] rt,ra,rb 31x75
mulhwu[.] rt,ra,rb 31x11
mulhd[.] rt,ra,rb 31x73
mulhdu[.] rt,ra,rb 31x9
divw[.] rt,ra,rb 31x491
divwu[.] rt,ra,rb 31x459
divd[.] rt,ra,rb 31x489
divdu[.] rt,ra,rb 31x457
divwe[.] rt,ra,rb 31x427
divweu[.] rt,ra,rb 31x395
divde[.] rt,ra,rb 31x425
divdeu[.] rt,ra,rb 31x393
ori ra,rs,ui 24
oris ra,rs,uis 25
xori ra,rs,ui 26
xoris ra,rs,uis 27
andi. ra,rs,ui 28
andis. ra,rs,uis 29
and[.] ra,rs,rb 31x28
andc[.] ra,rs,rb 31x60
or[.] ra,rs,rb 31x444
orc[.] ra,rs,rb 31x412
xor[.] ra,rs,rb 31x316
nor[.] ra,rs,rb 31x124
nand[.] ra,rs,rb 31x476
eqv[.] ra,rs,rb 31x284
extsb[.] ra,rs 31x954
extsh[.] ra,rs 31x922
extsw[.] ra,rs 31x986
cntlzw[.] ra,rs 31x26
cntlzd[.] ra,rs 31x58
popcntb ra,rs 31x122 cap
popcntw ra,rs 31x378
popcntd ra,rs 31x506
bpermd ra,rs,rb 31x252
cmpb ra,rs,rb 31x508
slw[.] ra,rs,rb 31x24
srw[.] ra,rs,rb 31x536
sraw[.] ra,rs,rb 31x792
srawi[.] ra,rs,sh5 31x824
sld[.] ra,rs,rb 31x27
srd[.] ra,rs,rb 31x539
srad[.] ra,rs,rb 31x794
sradi[.] ra,rs,sh6 31m413
rlwinm[.] ra,rs,sh5,mb5,me5 21
rlwimi[.] ra,rs,sh5,mb5,me5 20
rlwnm[.] ra,rs,rb,mb5,me5 23
rldicl[.] ra,rs,sh6,mb6 30m0
rldicr[.] ra,rs,sh6,mb6 30m1
rldic[.] ra,rs,sh6,mb6 30m2
rldimi[.] ra,rs,sh6,mb6 30m3
rldcl[.] ra,rs,rb,mb6 30x8
rldcr[.] ra,rs,rb,mb6 30x9
isel rt,ra0,rb,bc 31x15

cmp bf,l,ra,rb 31x0
cmpl bf,l,ra,rb 31x32
cmpi bf,l,ra,si 11
cmpli bf,l,ra,ui 10
tw to,ra,rb 31x4
td to,ra,rb 31x68
twi to,ra,si 3
tdi to,ra,si 2
b li 18
bl li 18|1
ba lia 18|2
bla lia 18|3
bc bo,bi,bd 16
bcl bo,bi,bd 16|1
bca bo,bi,bda 16|2
bcla bo,bi,bda 16|3
bclr bo,bi 19x16
bclr bo,bi,bh 19x16
bclrl bo,bi 19x16|1
bclrl bo,bi,bh 19x16|1
bcctr bo,bi 19x528
bcctr bo,bi,bh 19x528
bcctrl bo,bi 19x528|1
bcctrl bo,bi,bh 19x528|1
crand bt,ba,bb 19x257
crandc bt,ba,bb 19x129
cror bt,ba,bb 19x449
crorc bt,ba,bb 19x417
crnand bt,ba,bb 19x225
crnor bt,ba,bb 19x33
crxor bt,ba,bb 19x193
creqv bt,ba,bb 19x289
mcrf bf,bfa 19x0
mfspr rt,spr 31x339
mtspr spr,rs 31x467
mfcr rt 31x19
mfocrf rt,fxm1 31x19|100000
mtcrf fxm,rs 31x144
mtocrf fxm1,rs 31x144|100000
mfmsr rt 31x83
mtmsr rs 31x146
mtmsr rs,l1 31x146
mtmsrd rs 31x178
mtmsrd rs,l1 31x178
sc 17|2
sc lev 17|2
rfid 19x18
hrfid 19x274 cap
isync 19x150
sync 31x598
sync l2 31x598
lwsync 31x598|200000
ptesync 31x598|400000
eieio 31x854
dcbt ra0,rb 31x278
dcbt ra0,rb,th 31x278
dcbtst ra0,rb 31x246
dcbtst ra0,rb,th 31x246
dcbz ra0,rb 31x1014
dcbf ra0,rb 31x86
dcbst ra0,rb 31x54
icbi ra0,rb 31x982
slbie rb 31x434
slbia 31x498
slbmte rs,rb 31x402
slbmfee rt,rb 31x915
slbmfev rt,rb 31x851 cap
tlbsync 31x566
nap 19x434 cap

fmr[.] frt,frb 63x72
fneg[.] frt,frb 63x40
fabs[.] frt,frb 63x264
fnabs[.] frt,frb 63x136
fadd[.] frt,fra,frb 63x21
fsub[.] frt,fra,frb 63x20
fmul[.] frt,fra,frc 63x25
fdiv[.] frt,fra,frb 63x18
fmadd[.] frt,fra,frc,frb 63x29
fmsub[.] frt,fra,frc,frb 63x28
fnmadd[.] frt,fra,frc,frb 63x31
fnmsub[.] frt,fra,frc,frb 63x30
fsqrt[.] frt,frb 63x22
fadds[.] frt,fra,frb 59x21
fsubs[.] frt,fra,frb 59x20
fmuls[.] frt,fra,frc 59x25
fdivs[.] frt,fra,frb 59x18
frsp[.] frt,frb 63x12
fctid[.] frt,frb 63x814
fctidz[.] frt,frb 63x815
fctiw[.] frt,frb 63x14
fctiwz[.] frt,frb 63x15
fcfid[.] frt,frb 63x846
fcfidu[.] frt,frb 63x974
fcmpu bf,fra,frb 63x0
mffs[.] frt 63x583
mtfsf[.] flm,frb 63x711
mtfsb0 bt 63x70
mtfsb1 bt 63x38

lvx vrt,ra0,rb 31x103
lvxl vrt,ra0,rb 31x359
lvebx vrt,ra0,rb 31x7
lvehx vrt,ra0,rb 31x39
lvewx vrt,ra0,rb 31x71
lvsl vrt,ra0,rb 31x6
lvsr vrt,ra0,rb 31x38
stvx vrt,ra0,rb 31x231
stvxl vrt,ra0,rb 31x487
stvebx vrt,ra0,rb 31x135
stvehx vrt,ra0,rb 31x167
stvewx vrt,ra0,rb 31x199
mfvscr vrt 4d1540
mtvscr vrb 4d1604
vand vrt,vra,vrb 4d1028
vandc vrt,vra,vrb 4d1092
vor vrt,vra,vrb 4d1156
vxor vrt,vra,vrb 4d1220
vnor vrt,vra,vrb 4d1284
vaddubm vrt,vra,vrb 4d0
vadduhm vrt,vra,vrb 4d64
vadduwm vrt,vra,vrb 4d128
vaddudm vrt,vra,vrb 4d192
vsububm vrt,vra,vrb 4d1024
vsubuhm vrt,vra,vrb 4d1088
vsubuwm vrt,vra,vrb 4d1152
vcmpequb vrt,vra,vrb 4d6
vcmpequw vrt,vra,vrb 4d134
vcmpequb. vrt,vra,vrb 4d1030
vcmpequw. vrt,vra,vrb 4d1158
vspltisb vrt,sim5 4d780
vspltish vrt,sim5 4d844
vspltisw vrt,sim5 4d908
vperm vrt,vra,vrb,vrc 4d43
vsel vrt,vra,vrb,vrc 4d42
vsldoi vrt,vra,vrb,shb 4d44
lxvd2x xt,ra0,rb 31x844
lxvw4x xt,ra0,rb 31x780
lxvdsx xt,ra0,rb 31x332
lxsdx xt,ra0,rb 31x588
stxvd2x xt,ra0,rb 31x972
stxvw4x xt,ra0,rb 31x908
stxsdx xt,ra0,rb 31x716
lxv xtq,dq 61d1 cap
stxv xtq,dq 61d5 cap
xxland xt,xa,xb 60p130
xxlandc xt,xa,xb 60p138
xxlor xt,xa,xb 60p146
xxlxor xt,xa,xb 60p154
xxlnor xt,xa,xb 60p162
xxpermdi xt,xa,xb,dm 60p10
mfvsrd ra,xt 31x51
mfvsrwz ra,xt 31x115
mtvsrd xt,ra 31x179
mtvsrwa xt,ra 31x211
mtvsrwz xt,ra 31x243
"""

ALIASES = """
nop = ori 0,0,0
xnop = xori 0,0,0
li rt,si = addi rt,0,si
lis rt,sis = addis rt,0,sis
la rt,d = addi rt,d.ra,d.disp
subi rt,ra0,nsi = addi rt,ra0,-nsi ;base
subis rt,ra0,nsis = addis rt,ra0,-nsis ;base
subic rt,ra,nsi = addic rt,ra,-nsi ;base
subic. rt,ra,nsi = addic. rt,ra,-nsi ;base
sub[.] rt,rb,ra = subf[.] rt,ra,rb
subc[.] rt,rb,ra = subfc[.] rt,ra,rb
mr[.] ra,rs = or[.] ra,rs,rs
not[.] ra,rs = nor[.] ra,rs,rs
lnia rt = addpcis rt,0 ;base
mftb rt = mfspr rt,268 ;base
mftbu rt = mfspr rt,269 ;base
cmpd ra,rb = cmp 0,1,ra,rb
cmpd bf,ra,rb = cmp bf,1,ra,rb
cmpw ra,rb = cmp 0,0,ra,rb
cmpw bf,ra,rb = cmp bf,0,ra,rb
cmpld ra,rb = cmpl 0,1,ra,rb
cmpld bf,ra,rb = cmpl bf,1,ra,rb
cmplw ra,rb = cmpl 0,0,ra,rb
cmplw bf,ra,rb = cmpl bf,0,ra,rb
cmpdi ra,si = cmpi 0,1,ra,si
cmpdi bf,ra,si = cmpi bf,1,ra,si
cmpwi ra,si = cmpi 0,0,ra,si
cmpwi bf,ra,si = cmpi bf,0,ra,si
cmpldi ra,ui = cmpli 0,1,ra,ui
cmpldi bf,ra,ui = cmpli bf,1,ra,ui
cmplwi ra,ui = cmpli 0,0,ra,ui
cmplwi bf,ra,ui = cmpli bf,0,ra,ui
iseleq rt,ra0,rb = isel rt,ra0,rb,2 ;base
iselgt rt,ra0,rb = isel rt,ra0,rb,1 ;base
isellt rt,ra0,rb = isel rt,ra0,rb,0 ;base
trap = tw 31,0,0
rotldi[.] ra,rs,n6 = rldicl[.] ra,rs,n6,0
rotrdi[.] ra,rs,n6 = rldicl[.] ra,rs,w64(64-n6),0
rotld[.] ra,rs,rb = rldcl[.] ra,rs,rb,0
sldi[.] ra,rs,n6 = rldicr[.] ra,rs,n6,63-n6
srdi[.] ra,rs,n6 = rldicl[.] ra,rs,w64(64-n6),n6
clrldi[.] ra,rs,n6 = rldicl[.] ra,rs,0,n6
clrrdi[.] ra,rs,n6 = rldicr[.] ra,rs,0,63-n6
extldi[.] ra,rs,n6,b6 = rldicr[.] ra,rs,b6,n6-1
extrdi[.] ra,rs,n6,b6 = rldicl[.] ra,rs,w64(b6+n6),64-n6
insrdi[.] ra,rs,n6,b6 = rldimi[.] ra,rs,64-(b6+n6),b6
clrlsldi[.] ra,rs,b6,n6 = rldic[.] ra,rs,n6,b6-n6
rotlwi[.] ra,rs,n5 = rlwinm[.] ra,rs,n5,0,31
rotrwi[.] ra,rs,n5 = rlwinm[.] ra,rs,w32(32-n5),0,31
rotlw[.] ra,rs,rb = rlwnm[.] ra,rs,rb,0,31
slwi[.] ra,rs,n5 = rlwinm[.] ra,rs,n5,0,31-n5
srwi[.] ra,rs,n5 = rlwinm[.] ra,rs,w32(32-n5),n5,31
clrlwi[.] ra,rs,n5 = rlwinm[.] ra,rs,0,n5,31
clrrwi[.] ra,rs,n5 = rlwinm[.] ra,rs,0,0,31-n5
extlwi[.] ra,rs,n5,b5 = rlwinm[.] ra,rs,b5,0,n5-1
extrwi[.] ra,rs,n5,b5 = rlwinm[.] ra,rs,w32(b5+n5),32-n5,31
inslwi[.] ra,rs,n5,b5 = rlwimi[.] ra,rs,w32(32-b5),b5,b5+n5-1
insrwi[.] ra,rs,n5,b5 = rlwimi[.] ra,rs,32-(b5+n5),b5,b5+n5-1
clrlslwi[.] ra,rs,b5,n5 = rlwinm[.] ra,rs,n5,b5-n5,31-n5
crset bt = creqv bt,bt,bt
crclr bt = crxor bt,bt,bt
crmove bt,ba = cror bt,ba,ba
crnot bt,ba = crnor bt,ba,ba
mtcr rs = mtcrf 255,rs
hwsync = sync 0 ;base
bt bi,bd = bc 12,bi,bd
bf bi,bd = bc 4,bi,bd
btl bi,bd = bcl 12,bi,bd
bfl bi,bd = bcl 4,bi,bd
btlr bi = bclr 12,bi
bflr bi = bclr 4,bi
bdnzt bi,bd = bc 8,bi,bd
bdnzf bi,bd = bc 0,bi,bd
bdzt bi,bd = bc 10,bi,bd
bdzf bi,bd = bc 2,bi,bd
bdnztlr bi = bclr 8,bi
bdnzflr bi = bclr 0,bi
blr = bclr 20,0
blrl = bclrl 20,0
bctr = bcctr 20,0
bctrl = bcctrl 20,0
vmr vrt,vra = vor vrt,vra,vra ;base
vnot vrt,vra = vnor vrt,vra,vra ;base
xxspltd xt,xa,n1 = xxpermdi xt,xa,xa,n1*3
xxmrghd xt,xa,xb = xxpermdi xt,xa,xb,0
xxmrgld xt,xa,xb = xxpermdi xt,xa,xb,3
xxswapd xt,xa = xxpermdi xt,xa,xa,2
"""

# Special purpose registers with mnemonics of their own: mfNAME rt and mtNAME rs.
SPRS = {
    "xer": 1,
    "lr": 8,
    "ctr": 9,
    "dsisr": 18,
    "dar": 19,
    "dec": 22,
    "srr0": 26,
    "srr1": 27,
    "cfar": 28,
    "vrsave": 256,
    "sprg0": 272,
    "sprg1": 273,
    "sprg2": 274,
    "sprg3": 275,
}
READ_ONLY_SPRS = {"pvr": 287}
