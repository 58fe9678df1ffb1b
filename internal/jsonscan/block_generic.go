//go:build !amd64 || purego

package jsonscan

func structure(p *[blockSize]byte) (quotes, marks uint64) { return structureByWords(p) }

func backslashes(p *[blockSize]byte) (slashes uint64) { return backslashesByWords(p) }

func brackets(p *[blockSize]byte) (opens, closes, braces uint64) { return bracketsByWords(p) }

func pastEscaped(b []byte, i int) int { return pastEscapedByWords(b, i) }

func oddLetters(b []byte) int { return oddLettersByWords(b) }

func pair(b []byte, far int, first, second byte) int { return pairByWords(b, far, first, second) }
