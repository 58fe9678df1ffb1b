package extract_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// An odd escape is found wherever it is in a text.
func TestOddEscapesAnywhere(t *testing.T) {
	t.Parallel()
	body := func(text string) string { return `{"messages":["` + text + `"]}` }
	for i := range 100 {
		escaped := `\n` + strings.Repeat("x", i) + `\/` + strings.Repeat("y", 70)
		require.Equal(t, trailOf(t, body(escaped)), trailOf(t, body(strings.Replace(escaped, `\/`, "/", 1))), i)
	}
	// What looks like an escape and is none counts as it is written.
	require.Equal(t, apart, relation(trailOf(t, body(`\/\u12 x`)), trailOf(t, body(`\/12 x`))))
}

// What texts are to the trail does not depend on how long they are.
func TestLongTextsWithEscapes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	pieces := []string{"word ", "a", "\n", `\\`, `\"`, `\\u`, `\\/`, "/", "u", "é", strings.Repeat("x", 100)}
	odd := [][2]string{{`\/`, `/`}, {`\u0041`, "A"}, {`\u005c`, `\\`}, {`\u000a`, `\n`},
		{`\u0008`, `\b`}, {`\u000C`, `\f`}, {`\u000d`, `\r`}, {`\u0009`, `\t`}, {`\u0022`, `\"`}}
	for range 300 {
		var text, other strings.Builder
		for range random.IntN(400) {
			p := pieces[random.IntN(len(pieces))]
			text.WriteString(p)
			other.WriteString(p)
		}
		o := odd[random.IntN(len(odd))]
		text.WriteString(o[0])
		other.WriteString(o[1])
		for range random.IntN(40) {
			p := pieces[random.IntN(len(pieces))]
			text.WriteString(p)
			other.WriteString(p)
		}
		body := func(s string) string { return `{"system":"` + s + `","messages":["hi"]}` }
		require.Equal(t, same, relation(trailOf(t, body(text.String())), trailOf(t, body(other.String()))), "%s", text.String())
		require.Equal(t, apart, relation(trailOf(t, body(text.String())), trailOf(t, body(other.String()+"."))))
	}
}

// White space behind a text is not part of it, also where the text ends in
// backslashes.
func TestTextsThatEndInBackslashes(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{`C:\dir`, `C:\dir\`, `C:\dir\\`, `\\\`} {
		for _, space := range []string{"\n", "\t", "\r\n", " ", " \n \n"} {
			first := trailOf(t, chat(u("list "+dir+space+reminder("x"))))
			later := trailOf(t, chat(u("list "+dir), a("ok"), u("next")))
			require.Equal(t, continues, relation(later, first), "%q", dir+space)
		}
	}
}

// Texts that have to be written anew are written where others were before.
func TestMemoryOfEscapedTexts(t *testing.T) {
	long(t)
	for _, body := range []string{
		`{"messages":[{"role":"user","content":"` + strings.Repeat(`\u4f60\/`, 100_000) + `"}]}`,
		`{"system":"` + strings.Repeat(`\u4f60\/`, 100_000) + `","messages":["hi"]}`,
		`{"messages":[{"role":"user","content":[{"data":"` + strings.Repeat(`\u4f60\/`, 100_000) + `"}]}]}`,
		`{"prompt":"` + strings.Repeat(`\u4f60\/\n`, 100_000) + `"}`,
	} {
		least := uint64(1 << 60)
		for n := 0; n < 10 && least >= 32<<10; n++ { // the garbage collector, and the race detector, may take the room away
			r := &extract.Request{Body: []byte(body)}
			least = min(least, allocated(func() {
				_, ok := extract.Trail().Extract(r)
				require.True(t, ok)
				r.Class()
			}))
		}
		require.Less(t, least, uint64(32<<10), "%.60s", body)
	}
}
