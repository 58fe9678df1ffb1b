//go:build !purego

package jsonscan

// avx2 says whether the processor has AVX2, whose registers hold 32 bytes. If it does
// not, the assembly goes on to the functions in Go.
var avx2 = hasAVX2()

// Those functions, for tools that do not read assembly.
var _ = []any{structureByWords, backslashesByWords, bracketsByWords, pastEscapedByWords, oddLettersByWords, pairByWords}

// hasAVX2 reports whether the processor has AVX2 and the operating system saves its
// registers.
func hasAVX2() bool

//go:noescape
func structure(p *[blockSize]byte) (quotes, marks uint64)

//go:noescape
func backslashes(p *[blockSize]byte) (slashes uint64)

//go:noescape
func brackets(p *[blockSize]byte) (opens, closes, braces uint64)

//go:noescape
func pastEscaped(b []byte, i int) int

//go:noescape
func oddLetters(b []byte) int

//go:noescape
func pair(b []byte, far int, first, second byte) int
