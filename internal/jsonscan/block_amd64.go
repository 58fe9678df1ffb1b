//go:build !purego

package jsonscan

// What these do is said in block.go.

// avx2 says whether there is AVX2, half as many instructions for twice as many bytes.
var avx2 = hasAVX2()

// hasAVX2 asks the processor, and whether the system saves the registers.
func hasAVX2() bool

//go:noescape
func structure(p *[blockSize]byte) (quotes, marks uint64)

//go:noescape
func pastEscaped(b []byte, i int) int

func oddLetters(b []byte) int {
	if avx2 {
		return oddLettersAVX2(b)
	}
	return oddLettersByWords(b)
}

//go:noescape
func oddLettersAVX2(b []byte) int
