//go:build !purego

package jsonscan

// pastEscaped goes on through the string that b[i] is in, right behind a quote, past
// quotes that are plainly escaped: by one backslash. It returns the offset of
// the first other one, or where less than a block is left. Whether that one is
// escaped is for the caller to tell. There must be two bytes in front of b[i].
//
// escaped.go has the same in Go.
//
//go:noescape
func pastEscaped(b []byte, i int) int
