package extract

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One long text does not take up its memory for as long as others come.
func TestScratchKeepsNoLongRoom(t *testing.T) {
	for name, body := range map[string]string{
		"message": `{"messages":[{"role":"user","content":"` + strings.Repeat(`a\/b `, 1<<20) + `"}]}`,
		"prompt":  `{"prompt":"` + strings.Repeat(`a\/b `, 1<<20) + `"}`,
	} {
		_, ok := Trail().Extract(&Request{Path: "/v1/completions", Body: []byte(body)})
		require.True(t, ok)
		for range 10 {
			room := borrow(1)
			require.LessOrEqual(t, cap(*room), maxScratch, name)
			giveBack(room)
		}
	}
}

// A line may end in backslashes, as one that goes on does in a shell: an n after an even number of
// them is the letter.
func TestLinesThatEndInBackslashes(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		const backslash = "\\"
		text := "a" + strings.Repeat(backslash, n) + "nb"
		first, last, rest := text, text, ""
		if n%2 == 1 {
			first, last, rest = text[:n], "b", "b"
		}
		line, after := cutLine([]byte(text))
		require.Equal(t, []string{first, rest, last}, []string{string(line), string(after), string(lastLine([]byte(text)))}, text)
	}
}

func TestLastIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		text := make([]byte, random.IntN(5_000))
		rare := 1 + random.IntN(500)
		for i := range text {
			text[i] = "ab"[min(1, random.IntN(rare))]
		}
		word := bytes.Repeat([]byte("a"), 1+random.IntN(40))
		for i := range word {
			word[i] = "ab"[random.IntN(2)*min(1, random.IntN(20))]
		}
		if random.IntN(3) == 0 { // line breaks, which are compared last
			text = bytes.ReplaceAll(text, []byte("b"), lineBreak)
			word = append(bytes.Repeat(lineBreak, 1+random.IntN(2)), word[:random.IntN(len(word))]...)
		}
		if at := random.IntN(6_000); random.IntN(2) == 0 && at <= len(text)-len(word) {
			copy(text[at:], word)
		}
		for ; ; text = text[:max(0, bytes.LastIndex(text, word))] {
			require.Equal(t, bytes.LastIndex(text, word), lastIndex(text, word))
			if len(text) == 0 {
				break
			}
		}
	}
}

func TestLastIndexAtEveryOffset(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"b", "bb", "bab", `\n`, `\n\n`, `\nb`, `\n\nbb`} {
		for at := range 2_500 {
			text := bytes.Repeat([]byte("a"), 2_600)
			copy(text[at:], word)
			require.Equal(t, at, lastIndex(text, []byte(word)))
		}
	}
}
