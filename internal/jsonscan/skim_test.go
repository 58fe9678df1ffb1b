package jsonscan_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// skimmed is what Cursor.Skim promises, written plainly: the offset behind the
// value at the start of data, white space in front of it included, or -1.
func skimmed(data []byte) int {
	i := len(data) - len(bytes.TrimLeft(data, " \t\r\n"))
	if i == len(data) {
		return -1
	}
	switch data[i] {
	case '{', '[':
		return closed(data, i+1, data[i:i+1])
	case '"':
		return closed(data, i, nil)
	}
	c := jsonscan.New(data) // a number or a literal is skipped
	if c.Skip() == nil {
		return -1
	}
	return c.Pos()
}

// closed goes through data from data[i] on, which is outside of strings, until
// all that is open is closed again.
func closed(data []byte, i int, open []byte) int {
	open = bytes.Clone(open)
	inside := false
	for ; i < len(data); i++ {
		switch c := data[i]; {
		case inside && c == '\\':
			i++
			continue
		case c == '"':
			inside = !inside
			if !inside && len(open) == 0 {
				return i + 1
			}
		case inside:
		case c == '{' || c == '[':
			if open = append(open, c); len(open) > jsonscan.MaxDepth {
				return -1
			}
		case c == '}' || c == ']':
			if open[len(open)-1] != c-2 {
				return -1
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i + 1
			}
		case c >= 0x80 || strings.IndexByte("\\^_|~\x7f", c) >= 0:
			return -1
		}
	}
	return -1
}

// requireSkim holds Skim and Leave against the plain reading of data.
func requireSkim(t testing.TB, data []byte) {
	c := jsonscan.New(data)
	value := c.Skim()
	if end := skimmed(data); end < 0 {
		if value != nil || c.OK() {
			t.Fatalf("%q: skimmed %q", data, value)
		}
	} else if !c.OK() || c.Pos() != end || !bytes.Equal(value, bytes.TrimLeft(data[:end], " \t\r\n")) {
		t.Fatalf("%q: skimmed %q up to %d, not %d", data, value, c.Pos(), end)
	}
	s := jsonscan.New(data)
	if skipped := s.Skip(); skipped != nil && !bytes.Equal(skipped, value) {
		t.Fatalf("%q: skipped %q, skimmed %q", data, skipped, value)
	}

	// From inside.
	for _, bracket := range []string{"[", "{"} {
		inside := append([]byte(bracket), data...)
		c := jsonscan.New(inside)
		if !c.Array() && !c.Object() {
			t.Fatal("not entered")
		}
		c.Leave(bracket[0] + 2)
		if end := closed(inside, 1, inside[:1]); end < 0 != !c.OK() || end >= 0 && c.Pos() != end {
			t.Fatalf("%q: left at %d, not %d", inside, c.Pos(), end)
		}
	}
}

// Texts of pieces that matter to a reader by blocks: what opens and closes, runs
// of escapes of every length, and gaps that put all that anywhere in a block.
func TestSkimAgainstReference(t *testing.T) {
	t.Parallel()
	pieces := []string{`"`, `"`, `"`, `\`, `\\`, `\\\`, `\"`, `\"\"\"\"\"\"`, `[`, `]`, `{`, `}`, `,`, `:`, `1`, ` `, "\n", `true`, `x`, `é`, `^`, `_`, `~`, "`", `|`, "\x7f", "\x1b",
		strings.Repeat("x", 15), strings.Repeat("y", 16), strings.Repeat("z", 63), strings.Repeat("w", 64), strings.Repeat("1,", 40), strings.Repeat("[", 40), strings.Repeat("]", 40), strings.Repeat("{", 33),
		`"a":`, `"text",`, `{"a":"b"}`, `["c",1]`, `"` + strings.Repeat("a", 100) + `"`, `"` + strings.Repeat(`a\"`, 30) + `"`, `"` + strings.Repeat(`\\`, 20) + `"`,
		`_"`, `é"`, `\\\"`, `","`, `"` + strings.Repeat("b", 40) + `","`, strings.Repeat(`a\"`, 200), strings.Repeat(`é\"`, 60), strings.Repeat(`\\\"`, 50), strings.Repeat(`\\\\\"b`, 40)}
	random := rand.New(rand.NewPCG(1, 2))
	n := 50_000
	if testing.Short() || raceEnabled {
		n = 10_000
	}
	for range n {
		var b []byte
		b = append(b, []string{`[`, `{`, `["`, `"`, ` [ `}[random.IntN(5)]...)
		for range random.IntN(30) {
			b = append(b, pieces[random.IntN(len(pieces))]...)
		}
		if random.IntN(2) == 0 {
			b = append(b, `"]}]`...)
		}
		requireSkim(t, b)
	}

	// Well-formed texts, and each with one byte of it changed.
	for _, body := range bodies {
		data := body.make(3000)
		requireSkim(t, data)
		c := jsonscan.New(data)
		require.Equal(t, data, c.Skim(), body.name)
		for range n / 100 {
			at := random.IntN(len(data))
			was := data[at]
			data[at] = "\"\\[]{},x"[random.IntN(8)]
			requireSkim(t, data)
			data[at] = was
		}
	}
}

func TestSkimAtEveryDepth(t *testing.T) {
	t.Parallel()
	for depth := 1; depth <= jsonscan.MaxDepth+2; depth++ {
		for open, closing := range map[string]string{"[": "]", `{"":`: "}", `[{"":`: "}]"} {
			requireSkim(t, []byte(strings.Repeat(open, depth)+"1"+strings.Repeat(closing, depth)))
		}
	}
}

// A quote behind any number of backslashes, at every place of a block.
func TestSkimOfAnEscapedQuote(t *testing.T) {
	t.Parallel()
	for n := range 3 * 64 {
		for backslashes := range 5 {
			requireSkim(t, []byte(`[1,"`+strings.Repeat("x", n)+strings.Repeat(`\`, backslashes)+`"y",2]`))
		}
	}
}

// Brackets and little else, to any depth, and each text with one byte of it changed.
func TestSkimOfManyBrackets(t *testing.T) {
	t.Parallel()
	for n := range 64 {
		for depth := jsonscan.MaxDepth - 2; depth <= jsonscan.MaxDepth; depth++ {
			requireSkim(t, []byte("["+strings.Repeat(" ", n)+strings.Repeat("[", depth-1)+strings.Repeat("[]", 9)+strings.Repeat("]", depth)))
		}
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 5_000 {
		outer := random.IntN(3)
		if random.IntN(4) == 0 {
			outer = jsonscan.MaxDepth - random.IntN(70)
		}
		var b, open []byte
		for size, opening := 1+random.IntN(400), 30+random.IntN(40); len(b) < outer || len(b) < outer+size; {
			switch {
			case len(b) < outer || len(open) == 0 || random.IntN(100) < opening:
				c := "[{"[random.IntN(2)]
				b, open = append(b, c), append(open, c+2)
			case random.IntN(8) == 0:
				b = append(b, [...]string{",", "1,", `"",`, `"[":`}[random.IntN(4)]...)
			case len(open) > outer:
				b, open = append(b, open[len(open)-1]), open[:len(open)-1]
			}
			if len(open) > outer+5 && opening > 45 {
				opening = 30
			}
		}
		for len(open) > 0 {
			b, open = append(b, open[len(open)-1]), open[:len(open)-1]
		}
		requireSkim(t, b)
		for range 4 {
			at := random.IntN(len(b))
			was := b[at]
			b[at] = `[]{}"\\1,^`[random.IntN(9)]
			requireSkim(t, b)
			b[at] = was
		}
	}
}

func FuzzSkim(f *testing.F) {
	f.Add([]byte(strings.Repeat(`[{},[[1],{"a":[]}]],`, 9)))
	f.Add([]byte(`{"a":[1,"\"",{}],"b":"` + strings.Repeat(`\\\"`, 40) + `"}`))
	f.Add(agentBody(1000))
	f.Add(nested(3000, jsonscan.MaxDepth))
	f.Fuzz(func(t *testing.T, data []byte) { requireSkim(t, data) })
}

// manyBrackets returns a well-formed array, of little but brackets, of at least so many bytes.
func manyBrackets(random *rand.Rand, size int) []byte {
	b, open, deep := []byte("["), []byte("]"), random.IntN(100)
	for last := '['; len(open) > 0; last = rune(b[len(b)-1]) {
		switch {
		case len(b) > size || last != '[' && last != '{' && random.IntN(100) >= deep:
			b, open = append(b, open[len(open)-1]), open[:len(open)-1]
			continue
		case last != '[' && last != '{':
			b = append(b, ',')
		}
		if open[len(open)-1] == '}' {
			b = append(b, [...]string{`"":`, `"]":`, `"a\"{":`}[random.IntN(3)]...)
		}
		switch random.IntN(8) {
		case 0:
			b = append(b, [...]string{`1`, `"["`, `"}"`, `"\"]"`, `null`}[random.IntN(5)]...)
		default:
			c := "[{"[random.IntN(2)]
			b, open = append(b, c), append(open, c+2)
		}
	}
	return b
}
