package jsonscan_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A span is a member of an object, and where the comma or brace before it is.
type span struct {
	name, value string
	before      int
}

// membersOf reads the members of an object to the letter.
func membersOf(data []byte) (members []span, ok bool) {
	c := jsonscan.New(data)
	for in := c.Object(); in; {
		c.Kind()
		before := c.Pos()
		if len(members) == 0 {
			before = bytes.IndexByte(data, '{')
		}
		name, more := c.Key()
		if in = more; more {
			value := c.Skip()
			members = append(members, span{string(name), string(value), before})
		}
	}
	return members, c.End() && len(bytes.TrimLeft(data, " \t\r\n")) > 0 && bytes.TrimLeft(data, " \t\r\n")[0] == '{'
}

// requireTail holds Tail against reading forward.
func requireTail(t testing.TB, data []byte, window int) {
	data = data[:len(data):len(data)]
	want, wellFormed := membersOf(data)
	low := max(0, len(data)-window)
	tail := jsonscan.NewTail(data, window)
	for n := 1; ; n++ {
		name, value, ok := tail.Member()
		if !ok {
			if wellFormed {
				require.True(t, tail.OK(), "%q", data)
				left := want[:len(want)-n+1]
				require.True(t, len(left) == 0 || left[len(left)-1].before < low || low > 0 && left[len(left)-1].before == low, "%q, window %d: %v is left", data, window, left)
			}
			return
		}
		// From here on, it is the end of a well-formed object.
		start := cap(data) - cap(name) - 1
		require.GreaterOrEqual(t, start, low)
		rest, ok := membersOf(append([]byte("{"), data[start:]...))
		require.True(t, ok, "%q from %d", data, start)
		require.Len(t, rest, n)
		require.Equal(t, string(name), rest[0].name)
		require.Equal(t, string(value), rest[0].value)
		if wellFormed {
			require.Equal(t, want[len(want)-n].name, string(name), "%q", data)
			require.Equal(t, want[len(want)-n].value, string(value))
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		``, ` `, `{`, `}`, `{}`, ` { } `, `{"a":1}`, `{"a":1,"b":2}`, " {\n\"a\" : \"x\" ,\t\"b\":[1,{\"c\":null}] , \"d\":{} }\r\n", `{"a":"\\","b":"\"","c":"\\\"}","d\"":"[{"}`,
		`{"":"","":"","a":[],"b":[[]],"c":{"d":{}}}`, `{"\\\"":1}`, `{"a\\":"\\\\\"","\\\"b":"\\"}`, `{"a":-1.5e+7,"b":true,"c":false,"d":null}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a":1}`, `"a":1}`, `["a":1}`,
		`{"a":1}}`, `x{"a":1}`, `{"a":01}`, `{"a":tru}`, `{"a":[1}`, `{"a":[1,],"b":2}`, `{"a":1]`, `{"a":{"b":1}`, `\\\\\\\\"}`, `\"a":"b"}`, `{"a":"b\"}`, `,"a":1}`, `{"a":}`, `{:1}`, `{"a"}`, `{"a":1,"b"}`, `[]}`, `""}`, `1}`, `true}`, `{"x":1,"#a":"#b"}`,
		`{"a":"` + strings.Repeat("x", 100) + `","b":["` + strings.Repeat(`\"`, 50) + `"]}`,
	} {
		for window := 0; window <= len(data)+1; window++ {
			requireTail(t, []byte(data), window)
		}
	}
	for _, data := range []string{`[{"a":1}`, `x{"a":1}`, `{"b":{"a":1}`, `{"a":1]`, `{"a":1},`, `["a":1}`, `x`} {
		tail := jsonscan.NewTail([]byte(data), len(data))
		_, _, ok := tail.Member()
		require.False(t, ok && tail.OK(), data)
		require.False(t, tail.OK(), data)
	}
	members, ok := membersOf([]byte(`{"a":1,"b":2}`))
	require.True(t, ok)
	require.Len(t, members, 2)

	random := rand.New(rand.NewPCG(5, 6))
	pieces := []string{`"a"`, `"b\""`, `"\\"`, `:`, `:`, `,`, `,`, `{`, `}`, `[`, `]`, `1`, `-0.5`, `true`, ` `, "\n", `"`, `\`, `"cd":{}`, `"e":[1,"2"]`, `"f":"g"`, `"h":null,`}
	for range 30_000 {
		b := []byte("{")
		for range random.IntN(12) {
			b = append(b, pieces[random.IntN(len(pieces))]...)
		}
		if random.IntN(4) > 0 {
			b = append(b, '}')
		}
		requireTail(t, b, random.IntN(len(b)+2))
	}

	// Strings of several blocks, with escapes across their borders.
	text := []string{`\"`, `\\`, `\\\\\\\"`, `\n`, "a", "\u00e4", `plain text, of some length: {"`[:28], "["}
	for range 3_000 {
		b := []byte("{")
		for i := range 1 + random.IntN(3) {
			b = fmt.Appendf(b, `"%d":%s"`, i, []string{"", "[", "[1,"}[i])
			for range random.IntN(120) {
				b = append(b, text[random.IntN(len(text))]...)
			}
			b = append(b, []string{`",`, `"],`, `"],`}[i]...)
		}
		b[len(b)-1] = '}'
		requireTail(t, b, random.IntN(len(b)+2))
		requireTail(t, b, len(b))
	}

	// Values of little but brackets, flat or deep, and larger than the window or smaller.
	for range 3_000 {
		b := []byte("{")
		for i := range 1 + random.IntN(3) {
			b = fmt.Appendf(b, `"%d":%s,`, i, manyBrackets(random, random.IntN(400)))
		}
		b[len(b)-1] = '}'
		requireTail(t, b, random.IntN(len(b)+2))
		requireTail(t, b, len(b))
	}
}

// A mark that is no bracket is a mistake, where brackets are counted many at a time as well.
func TestTailOfMarksThatAreNoBrackets(t *testing.T) {
	t.Parallel()
	b := []byte(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("~", 200) + strings.Repeat("]", 100) + "}")
	tail := jsonscan.NewTail(b, len(b))
	_, _, ok := tail.Member()
	require.False(t, ok)
	require.False(t, tail.OK())
}

func FuzzTail(f *testing.F) {
	f.Add([]byte(`{"messages":[{"a":"\\\""}],"metadata":{"user_id":"{\"session_id\":\"x\"}"},"stream":true}`), 60)
	f.Fuzz(func(t *testing.T, data []byte, window int) { requireTail(t, data, min(max(0, window), 1<<20)) })
}
