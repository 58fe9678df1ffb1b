package jsonscan

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests hold the assembly to the contracts in block.go, and the functions in Go where
// these take its place. TestWithoutAVX2 runs them for these as well.

// TestPastEscaped checks that pastEscaped goes past no quote that ends the string.
func TestPastEscaped(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{`\"`, `\"`, `\"`, `\\`, `\n`, "a", "\xc3\xa9", "\xa2\xdc", "0123456789abcdef", `"`, `\\\"`}
	for range 20_000 {
		b := []byte(`"\"`)
		i := len(b)
		kinds := 1 + r.IntN(len(pieces))
		for range r.IntN(120) {
			b = append(b, pieces[r.IntN(kinds)]...)
		}
		n := len(b)
		b = append(b, bytes.Repeat([]byte(`\"`), 64)...)[:n] // what is behind is none of it
		end := pastEscaped(b, i)
		require.True(t, i <= end && end <= n, "%q: %d", b, end)
		for q := i; q < end; q++ {
			require.True(t, b[q] != '"' || oddBackslashes(b, q), "%q: past a quote at %d that ends the string", b, q)
		}
	}
}

// TestPastEscapedGoesOn checks that pastEscaped comes as far as whole blocks go, or to the
// quote that ends the string.
func TestPastEscapedGoesOn(t *testing.T) {
	for _, piece := range []string{`\"`, `\"a`, `\"\n12345`, `é\"é`, `\\\"`, `\\\\\\\"a`, `\\\\\n\"`} {
		for n := range 300 {
			b := []byte(`"\"`)
			i := len(b)
			for len(b) < i+n {
				b = append(b, piece...)
			}
			require.Less(t, len(b)-pastEscaped(b, i), blockSize, "%q", b)

			// Some bytes are a quote or a backslash but for their highest bit, and some are so
			// together with the next.
			for _, last := range []string{"", "日", "\xdc", "\xdc]", "\xa2#", `\\`} {
				b := append(b, last...)
				end := len(b)
				for _, behind := range []string{`,"\"`, `,12`} { // other quotes, and none
					b := append(b, '"')
					for len(b) < end+2*blockSize {
						b = append(b, behind...)
					}
					require.Equal(t, end, pastEscaped(b, i), "%q", b)
				}
			}
		}
	}
}

// TestBackslash looks for a backslash in every place of texts of every length.
func TestBackslash(t *testing.T) {
	for n := range 70 {
		b := bytes.Repeat([]byte{'['}, n) // one bit from it
		require.Equal(t, -1, backslash(b))
		for i := range n {
			b[i] = '\\'
			require.Equal(t, i, backslash(b))
			b[i] = ']'
		}
	}
}

// TestStructure checks structure, backslashes and brackets for every byte in every place of a block.
func TestStructure(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(b [blockSize]byte) {
		var quotes, marks, slashes, opens, closes, braces uint64
		for i, c := range b {
			switch c {
			case '{', '[':
				opens |= 1 << i
			case '}', ']':
				closes |= 1 << i
			}
			if c == '{' || c == '}' {
				braces |= 1 << i
			}
			if c == '\\' {
				slashes |= 1 << i
			}
			switch {
			case c == '"':
				quotes |= 1 << i
			case c >= 0x80, '[' <= c && c <= '_', '{' <= c:
				marks |= 1 << i
			}
		}
		q, m := structure(&b)
		require.Equal(t, quotes, q, "quotes of %q", b)
		require.Equal(t, marks, m, "marks of %q", b)
		require.Equal(t, slashes, backslashes(&b), "backslashes of %q", b)
		o, c, some := brackets(&b)
		require.Equal(t, opens, o, "opening brackets of %q", b)
		require.Equal(t, closes, c, "closing brackets of %q", b)
		require.Equal(t, braces, some&(o|c), "braces of %q", b)
	}
	for c := range 256 {
		for at := range blockSize {
			b := [blockSize]byte(bytes.Repeat([]byte{byte(255 - c)}, blockSize))
			b[at] = byte(c)
			check(b)
		}
	}
	for range 10_000 {
		var b [blockSize]byte
		kinds := byte(r.IntN(256)) // ASCII only, where that is less than 128
		for i := range b {
			b[i] = byte(r.Uint32()) & kinds
		}
		check(b)
	}
}

// TestLongEscape looks for each pair in every place of texts of every length, among bytes
// that are nearly such a pair. Behind an odd number of backslashes it is none.
func TestLongEscape(t *testing.T) {
	for _, beside := range []string{"a", `\n`, `\\a`, `\\u`, `\\/\"`, `\"`, "u/", `\\`, `\\]`, "\xdc\xf5"} {
		for n := range 4 * blockSize {
			b := append(bytes.Repeat([]byte(beside), n)[:n], 'u')[:n] // what is behind is none of it
			require.Equal(t, longEscapeByBytes(b), LongEscape(b), "%q", b)
			for i := range n - 1 {
				for _, letter := range "u/" {
					b := bytes.Clone(b)
					b[i], b[i+1] = '\\', byte(letter)
					require.Equal(t, longEscapeByBytes(b), LongEscape(b), "%q", b)
				}
			}
		}
	}
}

// longEscapeByBytes is LongEscape, from one escape to the next.
func longEscapeByBytes(raw []byte) int {
	for i := 0; i < len(raw)-1; i++ {
		if raw[i] == '\\' {
			if raw[i+1] == 'u' || raw[i+1] == '/' {
				return i
			}
			i++
		}
	}
	return -1
}

// TestLineBreak does the same for line breaks.
func TestLineBreak(t *testing.T) {
	for _, beside := range []string{"a", `\t`, `\"n`, "n", `\\`, "\xdc\xee"} {
		for n := range 3 * blockSize {
			b := bytes.Repeat([]byte(beside), n)[:n]
			require.Equal(t, -1, LineBreak(b), "%q", b)
			require.Equal(t, max(0, n-1)&^(blockSize-1), pair(b, 1, '\\', 'n'), "whole blocks, and nothing behind b")
			for i := range n - 1 {
				b := bytes.Clone(b)
				b[i], b[i+1] = '\\', 'n'
				if i > 0 && b[i-1] == '\\' && beside != `\\` {
					b[i-1] = 'a'
				}
				require.Equal(t, i, LineBreak(b), "%q", b)
			}
		}
	}
}

// TestQuoteBefore looks for a pair in every place of texts of every length, among bytes
// that have only the quote, only the other byte, or both at another distance.
func TestQuoteBefore(t *testing.T) {
	for _, beside := range []string{"a", `"`, "c", `"c`, `"a"ac`, `"""ccc`, "\xa2\xe3"} {
		for far := range 6 {
			for n := range 3 * blockSize {
				b := bytes.Repeat([]byte(beside), n)[:n]
				want := -1
				for i := n - far - 1; i >= 0; i-- {
					if b[i] == '"' && b[i+far] == 'c' {
						want = i
					}
				}
				require.Equal(t, want, QuoteBefore(b, far, 'c'), "%d in %q", far, b)
				for i := 0; far > 0 && i < n-far; i++ {
					b := bytes.Clone(b)
					b[i], b[i+far] = '"', 'c'
					if got := QuoteBefore(b, far, 'c'); got != i {
						require.True(t, 0 <= got && got < i && b[got] == '"' && b[got+far] == 'c', "%d at %d in %q", far, i, b)
					}
				}
			}
		}
	}
}

// TestOddLetters checks that oddLetters goes past no backslash with an odd byte behind it,
// and stops at no block without one.
func TestOddLetters(t *testing.T) {
	for c := range 256 {
		for at := range 3*blockSize - 1 {
			b := bytes.Repeat([]byte{'\\'}, 3*blockSize)
			b[at+1] = byte(c)
			want := 2 * blockSize
			if c%2 != 0 && at < want {
				want = at &^ (blockSize - 1)
			}
			require.Equal(t, want, oddLetters(b), "%q at %d", c, at)
		}
	}
	for n := range 4 * blockSize {
		require.Equal(t, max(0, n-1)&^(blockSize-1), oddLetters(bytes.Repeat([]byte(`\t`), n)[:n]))
	}
}
