//go:build !purego

#include "textflag.h"

// The contracts of these functions are in block.go.

// Constants to compare a block with, 32 bytes at a time.
DATA quote<>+0(SB)/8, $0x2222222222222222
GLOBL quote<>(SB), RODATA|NOPTR, $8
DATA slash<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL slash<>(SB), RODATA|NOPTR, $8
DATA upper<>+0(SB)/8, $0x5f5f5f5f5f5f5f5f
GLOBL upper<>(SB), RODATA|NOPTR, $8
DATA letter<>+0(SB)/8, $0x5a5a5a5a5a5a5a5a // 'Z', which is before '['
GLOBL letter<>(SB), RODATA|NOPTR, $8
DATA lower<>+0(SB)/8, $0x2020202020202020
GLOBL lower<>(SB), RODATA|NOPTR, $8
DATA opening<>+0(SB)/8, $0x7b7b7b7b7b7b7b7b
GLOBL opening<>(SB), RODATA|NOPTR, $8
DATA closing<>+0(SB)/8, $0x7d7d7d7d7d7d7d7d
GLOBL closing<>(SB), RODATA|NOPTR, $8
DATA odd<>+0(SB)/8, $0x0101010101010101
GLOBL odd<>(SB), RODATA|NOPTR, $8

// GO_WITHOUT_AVX2 leaves the rest to a function in Go if the processor has no AVX2.
#define GO_WITHOUT_AVX2(function) \
	CMPB ·avx2(SB), $0; \
	JNE  2(PC);         \
	JMP  function(SB)

// BITS gathers the high bits of the 64 bytes in a and b in AX, the lowest for the first
// byte. It overwrites BX.
#define BITS(a, b) \
	VPMOVMSKB a, AX;  \
	VPMOVMSKB b, BX;  \
	SHLQ      $32, BX; \
	ORQ       BX, AX

// func structure(p *[blockSize]byte) (quotes, marks uint64)
TEXT ·structure(SB), NOSPLIT, $0-24
	GO_WITHOUT_AVX2(·structureByWords)
	MOVQ         p+0(FP), SI
	VPBROADCASTQ quote<>(SB), Y8
	VPBROADCASTQ upper<>(SB), Y9
	VPBROADCASTQ letter<>(SB), Y10
	VMOVDQU      (SI), Y0
	VMOVDQU      32(SI), Y1
	VPCMPEQB     Y8, Y0, Y2
	VPCMPEQB     Y8, Y1, Y3
	VPAND        Y9, Y0, Y4
	VPAND        Y9, Y1, Y5
	VPCMPGTB     Y10, Y4, Y4
	VPCMPGTB     Y10, Y5, Y5
	VPOR         Y0, Y4, Y4
	VPOR         Y1, Y5, Y5
	BITS(Y2, Y3)
	MOVQ         AX, quotes+8(FP)
	BITS(Y4, Y5)
	MOVQ         AX, marks+16(FP)
	VZEROUPPER
	RET

// func backslashes(p *[blockSize]byte) (slashes uint64)
TEXT ·backslashes(SB), NOSPLIT, $0-16
	GO_WITHOUT_AVX2(·backslashesByWords)
	MOVQ         p+0(FP), SI
	VPBROADCASTQ slash<>(SB), Y8
	VPCMPEQB     (SI), Y8, Y0
	VPCMPEQB     32(SI), Y8, Y1
	BITS(Y0, Y1)
	MOVQ         AX, slashes+8(FP)
	VZEROUPPER
	RET

// func brackets(p *[blockSize]byte) (opens, closes, braces uint64)
TEXT ·brackets(SB), NOSPLIT, $0-32
	GO_WITHOUT_AVX2(·bracketsByWords)
	MOVQ         p+0(FP), SI
	VPBROADCASTQ lower<>(SB), Y8
	VPBROADCASTQ opening<>(SB), Y9
	VPBROADCASTQ closing<>(SB), Y10
	VMOVDQU      (SI), Y0
	VMOVDQU      32(SI), Y1
	VPSLLW       $2, Y0, Y2 // the bit that tells '{' from '[' becomes the high bit
	VPSLLW       $2, Y1, Y3
	BITS(Y2, Y3)
	MOVQ         AX, braces+24(FP)
	VPOR         Y8, Y0, Y0 // '[' becomes '{', and ']' becomes '}'
	VPOR         Y8, Y1, Y1
	VPCMPEQB     Y9, Y0, Y2
	VPCMPEQB     Y9, Y1, Y3
	BITS(Y2, Y3)
	MOVQ         AX, opens+8(FP)
	VPCMPEQB     Y10, Y0, Y0
	VPCMPEQB     Y10, Y1, Y1
	BITS(Y0, Y1)
	MOVQ         AX, closes+16(FP)
	VZEROUPPER
	RET

// func pastEscaped(b []byte, i int) int
TEXT ·pastEscaped(SB), NOSPLIT, $0-40
	GO_WITHOUT_AVX2(·pastEscapedByWords)
	MOVQ         b_base+0(FP), SI
	MOVQ         b_len+8(FP), DX
	MOVQ         i+24(FP), CX
	SUBQ         $64, DX // where the last block begins at the latest
	VPBROADCASTQ quote<>(SB), Y8
	VPBROADCASTQ slash<>(SB), Y9

	// b[i-2:i], which the first block reads as well, is \" (see block.go). Looking at the
	// backslashes of every block costs less than a branch on whether it has
	// quotes, which is hard to predict.
block:
	CMPQ     CX, DX
	JGT      done
	VPCMPEQB (SI)(CX*1), Y8, Y0
	VPCMPEQB 32(SI)(CX*1), Y8, Y1
	VPCMPEQB -1(SI)(CX*1), Y9, Y2
	VPCMPEQB 31(SI)(CX*1), Y9, Y3
	VPCMPEQB -2(SI)(CX*1), Y9, Y4
	VPCMPEQB 30(SI)(CX*1), Y9, Y5
	VPANDN   Y2, Y4, Y4 // one backslash before it, and no second one
	VPANDN   Y3, Y5, Y5
	VPANDN   Y0, Y4, Y4 // the quotes for which that is not so
	VPANDN   Y1, Y5, Y5
	VPOR     Y4, Y5, Y5
	VPTEST   Y5, Y5
	JNZ      runs

next:
	ADDQ $64, CX
	JMP  block

	// Some quote has no backslash before it, or two or more: count them exactly. R10 becomes
	// the backslashes of the block.
runs:
	VPCMPEQB (SI)(CX*1), Y9, Y2
	VPCMPEQB 32(SI)(CX*1), Y9, Y3
	BITS(Y2, Y3)
	MOVQ     AX, R10

	// R11 becomes 1 if the first byte of the block is escaped, and else 0.
	MOVQ CX, BX

back:
	CMPB -1(SI)(BX*1), $0x5c
	JNE  counted
	DECQ BX
	JMP  back

counted:
	MOVQ CX, R11
	SUBQ BX, R11
	ANDQ $1, R11

	// AX becomes the quotes less those that are escaped. The function escaped, in block.go,
	// explains how.
	BITS(Y0, Y1)
	MOVQ R10, R12
	ORQ  R11, R12
	NOTQ R11
	ANDQ R10, R11
	LEAQ (R11)(R11*1), BX
	MOVQ $0xaaaaaaaaaaaaaaaa, R13
	ORQ  R13, BX
	SUBQ R11, BX
	XORQ R13, BX
	XORQ R12, BX
	NOTQ BX
	ANDQ BX, AX
	JZ   next
	BSFQ AX, AX
	ADDQ AX, CX

done:
	VZEROUPPER
	MOVQ CX, ret+32(FP)
	RET

// func oddLetters(b []byte) int
TEXT ·oddLetters(SB), NOSPLIT, $0-32
	GO_WITHOUT_AVX2(·oddLettersByWords)
	MOVQ         b_base+0(FP), SI
	MOVQ         b_len+8(FP), DX
	SUBQ         $65, DX // where the last block begins that has a byte behind it
	XORL         CX, CX
	VPBROADCASTQ slash<>(SB), Y8
	VPBROADCASTQ odd<>(SB), Y9

block:
	CMPQ     CX, DX
	JGT      done
	VPCMPEQB (SI)(CX*1), Y8, Y0
	VPCMPEQB 32(SI)(CX*1), Y8, Y1
	VPAND    1(SI)(CX*1), Y0, Y0 // the letters behind backslashes
	VPAND    33(SI)(CX*1), Y1, Y1
	VPOR     Y0, Y1, Y1
	VPTEST   Y9, Y1
	JNZ      done
	ADDQ     $64, CX
	JMP      block

done:
	VZEROUPPER
	MOVQ CX, ret+24(FP)
	RET

// func pair(b []byte, far int, first, second byte) int
TEXT ·pair(SB), NOSPLIT, $0-48
	GO_WITHOUT_AVX2(·pairByWords)
	MOVQ         b_base+0(FP), SI
	MOVQ         b_len+8(FP), DX
	MOVQ         far+24(FP), DI
	VPBROADCASTB first+32(FP), Y8
	VPBROADCASTB second+33(FP), Y9
	SUBQ         DI, DX
	SUBQ         $64, DX // where the last block begins that has another far behind it
	ADDQ         SI, DI
	XORL         CX, CX

block:
	CMPQ     CX, DX
	JGT      done
	VPCMPEQB (SI)(CX*1), Y8, Y0
	VPCMPEQB 32(SI)(CX*1), Y8, Y1
	VPCMPEQB (DI)(CX*1), Y9, Y2
	VPCMPEQB 32(DI)(CX*1), Y9, Y3
	VPAND    Y0, Y2, Y2
	VPAND    Y1, Y3, Y3
	VPOR     Y2, Y3, Y4
	VPTEST   Y4, Y4
	JNZ      found
	ADDQ     $64, CX
	JMP      block

found:
	BITS(Y2, Y3)
	BSFQ AX, AX
	ADDQ AX, CX

done:
	VZEROUPPER
	MOVQ CX, ret+40(FP)
	RET

// func hasAVX2() bool
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $(1<<27 | 1<<28), CX // OSXSAVE and AVX
	CMPL CX, $(1<<27 | 1<<28)
	JNE  none
	XORL CX, CX
	XGETBV
	ANDL $6, AX // the system keeps both halves of the registers
	CMPL AX, $6
	JNE  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $5, BX // AVX2
	SETCS ret+0(FP)

none:
	RET
