package jsonscan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// hostile are inputs that are built to hurt. Each is head, then body over and
// over, then tail.
var hostile = []struct {
	name             string
	head, body, tail string
	good             bool // well-formed, and not too deep
}{
	{"ones", `[1`, `,1`, `]`, true},
	{"empty arrays", `[[]`, `,[]`, `]`, true},
	{"empty objects", `[{}`, `,{}`, `]`, true},
	{"nested arrays", `[[]`, `,` + strings.Repeat("[", 20) + strings.Repeat("]", 20), `]`, true},
	{"literals", `[true`, `,null,false`, `]`, true},
	{"members of one name", `{"a":1`, `,"a":1`, `}`, true},
	{"tiny strings", `[""`, `,"","a"`, `]`, true},
	{"messages without text", `{"messages":[{}`, `,{"role":"user"}`, `]}`, true},
	{"escaped quotes", `"`, `\"`, `"`, true},
	{"escaped backslashes", `"`, `\\`, `"`, true},
	{"escaped characters", `"`, `\u00e9`, `"`, true},
	{"white space", ` `, " \n\t\r", `1`, true},
	{"a number", `1`, `1234567890`, `e9`, true},
	{"a string", `"`, `abcdefgh`, `"`, true},
	{"escaped quotes without an end", `"`, `\"`, ``, false},
	{"backslashes without an end", `"`, `\`, ``, false},
	{"brackets that open", ``, `[`, ``, false},
	{"objects that open", ``, `{"":`, ``, false},
	{"brackets that close", ``, `]`, ``, false},
	{"commas", `[1`, `,`, `]`, false},
}

func build(head, body, tail string, size int) []byte {
	b := make([]byte, 0, size+len(body)+len(tail))
	b = append(b, head...)
	b = append(b, bytes.Repeat([]byte(body), max(1, (size-len(head)-len(tail))/len(body)))...)
	return append(b, tail...)
}

// bombs is how big the inputs of tests are: 16 MB, less with -short, and under
// the race detector, which takes ten times as long.
func bombs() int {
	if testing.Short() || raceEnabled {
		return 1 << 20
	}
	return 16 << 20
}

// That time is linear in size is shown by BenchmarkHostile: ns/byte is the same
// for every size. Here, a Cursor goes only forward, is asked at most twice a
// byte, and allocates nothing.
func TestHostileInput(t *testing.T) {
	for _, in := range hostile {
		t.Run(in.name, func(t *testing.T) {
			data := build(in.head, in.body, in.tail, bombs())
			c := jsonscan.New(data)
			require.Equal(t, in.good, c.Skip() != nil && c.End())

			data = build(in.head, in.body, in.tail, 256<<10)
			require.Zero(t, testing.AllocsPerRun(10, func() {
				c := jsonscan.New(data)
				c.Skip()
				c = jsonscan.New(data)
				c.Skim()
				tail := jsonscan.NewTail(data, len(data))
				tail.Member()
			}))

			// Into every bracket.
			calls, last := 0, 0
			c = jsonscan.New(data)
			walked := walk(&c, never, func(byte, []byte) {
				if c.Pos() < last {
					t.Fatalf("went back from %d to %d", last, c.Pos())
				}
				last = c.Pos()
				calls++
			})
			require.Equal(t, in.good, walked)
			require.LessOrEqual(t, calls, 2*len(data))
		})
	}
}

func TestNoAllocations(t *testing.T) {
	for _, body := range bodies {
		data := body.make(64 << 10)
		require.Zero(t, testing.AllocsPerRun(10, func() {
			c := jsonscan.New(data)
			if c.Skip() == nil || !c.End() {
				t.Error("not skipped")
			}
			if c = jsonscan.New(data); c.Skim() == nil || !c.End() {
				t.Error("not skimmed")
			}
		}), "Skip, %s", body.name)
	}

	data := agentBody(64 << 10)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		c := jsonscan.New(data)
		members := 0
		for ok := c.Object(); ok; {
			if _, ok = c.Key(); ok {
				if c.Kind() == '[' {
					for c.Array(); c.Element(); {
						c.Skip()
					}
				} else if _, isString := c.String(); !isString && !c.OK() {
					t.Error("not read")
				}
				members++
			}
		}
		if !c.End() || members != 6 {
			t.Error("not read")
		}
	}), "member by member")

	raw := []byte(`text \n \u00e9 \ud83d\ude00 \q`)
	dst := make([]byte, 0, len(raw))
	require.Zero(t, testing.AllocsPerRun(10, func() { dst = jsonscan.AppendText(dst[:0], raw) }), "text with room for it")
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() { jsonscan.AppendText(nil, raw) }), 1.0, "text without")
}
