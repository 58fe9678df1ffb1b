package extract

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStems(t *testing.T) {
	t.Parallel()
	s := stemsOf("title", "re-writ", "select the ", "azimuth", "zest")
	for _, text := range []string{"title", "A Title.", "(titles)", `one\ntitle`, `\\title`, "rewrite, re-write", "to SELECT THE best", "9title", "é title", "“title”", "{title", "@title", "`title", "[title", "Azimuths", "Zest"} {
		require.True(t, s.begin([]byte(text)), text)
	}
	for _, text := range []string{"", "subtitle", "titl", "atitle", "ztitle", "ATITLE", "ZTITLE", `\title`, "select then", "select the", "re writ"} {
		require.False(t, s.begin([]byte(text)), text)
	}
}

// Stems are found like words in a text in lower case, wherever they stand.
func TestStemsAnywhere(t *testing.T) {
	t.Parallel()
	words := []string{"histor", "memory", "gespräch", "对话", "стори", "az 1"}
	s := stemsOf(words...)
	random := rand.New(rand.NewPCG(1, 2))
	pieces := append(slices.Clone(words), "HiStOr", "MEMORY", "GESPRäCH", "GESPRÄCH", "histo", "emory", "h", "H", "m", "(", "\x08\x09stor", "AZ 1", "az\x001", "@z 1", "a[ 1", "`z 1", "a{ 1", "И", "对", "\x00", "")
	found := 0
	for range 20_000 {
		var text []byte
		for range 1 + random.IntN(3) {
			text = append(text, pieces[random.IntN(len(pieces))]...)
		}
		lower := bytes.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}, text)
		want := slices.ContainsFunc(words, func(w string) bool { return strings.Contains(string(lower), w) })
		require.Equal(t, want, s.in(text), "%q", text)
		if want {
			found++
		}
	}
	require.Greater(t, found, 1000)
	require.Less(t, found, 19_000)
}

// A sentence ends with a period and white space, which may be escaped, but not in e.g. an abbreviation.
func TestSentence(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":             "",
		".":            ".",
		"One":          "One",
		"One.":         "One.",
		"One. ":        "One",
		"One. Two.":    "One",
		"One.\nTwo.":   "One",
		`One.\nTwo.`:   "One",
		"As of 1.2. X": "As of 1.2",
		"e.g. one. X":  "e.g. one",
		". One":        "",
	} {
		require.Equal(t, want, string(sentence([]byte(text))), "%q", text)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "",
		" \n ":              "",
		"One":               "one",
		"  One\n\n\tTWO  Z": "one two z",
		"É Z\r\n":           "É z ",
	} {
		require.Equal(t, want, string(oneLine([]byte(text))), "%q", text)
	}
}
