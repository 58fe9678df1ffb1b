package extract

import (
	"bytes"
	"slices"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// This file finds words in texts, and where texts begin. The words are given without letters that
// may be upper case, or that differ between two forms of a word.

// signs are lists of words, in lower case. A text has the signs if it has a word of each list.
type signs [][]string

// in reports whether a text has a word of each list.
func (s signs) in(text []byte) bool {
	for _, words := range s {
		if !slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(text, []byte(w)) }) {
			return false
		}
	}
	return true
}

// stems are parts of words, mostly their beginnings, in lower case. The index is their first byte,
// with the bit set that tells lower from upper case.
type stems [256][]string

// stemsOf returns the stems in a list. Each must have at least two bytes.
func stemsOf(list ...string) (s stems) {
	for _, stem := range list {
		first := stem[0] | ('a' - 'A')
		s[first] = append(s[first], stem)
	}
	return s
}

// begin reports whether a word of a plain text begins with one of the stems. The case of ASCII
// letters makes no difference.
func (s *stems) begin(text []byte) bool {
	inWord, escaped := false, false // escaped by a backslash: such a letter begins no word
	for i, c := range text {
		lower := c | ('a' - 'A')
		letter := 'a' <= lower && lower <= 'z' && !escaped
		if letter && !inWord && s[lower] != nil && s.at(text[i:]) {
			return true
		}
		inWord, escaped = letter, c == '\\' && !escaped
	}
	return false
}

// in reports whether one of the stems is anywhere in a text, in the same way.
func (s *stems) in(text []byte) bool {
	for i, c := range text {
		if s[c|('a'-'A')] != nil && s.at(text[i:]) {
			return true
		}
	}
	return false
}

// at reports whether a text begins with one of the stems, in the same way. Mostly the second byte
// decides, without a call.
func (s *stems) at(text []byte) bool {
	for _, stem := range s[text[0]|('a'-'A')] {
		if len(text) >= len(stem) && (text[1]^stem[1])&^('a'-'A') == 0 && opensLower(text, stem) {
			return true
		}
	}
	return false
}

// opensLower reports whether a text begins with a word, which is in lower case. The case of ASCII
// letters in the text makes no difference.
func opensLower(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i, c := range text[:len(word)] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// startsWith reports whether a text begins with one of the words.
func startsWith(text []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return opens(text, w) })
}

// opens reports whether a text begins with a word, which must not be empty. Mostly the first byte
// decides, without a call.
func opens(text []byte, word string) bool {
	return len(text) > 0 && text[0] == word[0] && bytes.HasPrefix(text, []byte(word))
}

// endsWith reports whether a text ends with one of the words.
func endsWith(text []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.HasSuffix(text, []byte(w)) })
}

// maxBeginning is how many bytes of a text are looked at to tell what it wants.
const maxBeginning = 200

// beginningOf appends to buf, which has room for maxBeginning bytes, the beginning of a plain
// text, without escapes. The text must have no leading white space, as those that a trail keeps.
func beginningOf(text, buf []byte) []byte {
	return jsonscan.AppendText(buf, text[:min(len(text), maxBeginning)])
}

// loweredBeginning returns the beginning of a plain text, without escapes and in lower case.
func loweredBeginning(text []byte) []byte {
	var buf [maxBeginning]byte
	return bytes.ToLower(beginningOf(text, buf[:0]))
}

// oneLine replaces each stretch of white space in a text by one space, and upper case by lower
// case, in place.
func oneLine(text []byte) []byte {
	n := 0
	for _, c := range text {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			c = ' '
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != ' ' || n > 0 && text[n-1] != ' ' {
			text[n] = c
			n++
		}
	}
	return text[:n]
}

// sentence returns the first sentence of a text, plain or not. The rest of a system prompt is
// mostly about how the model is to speak, whatever it is asked.
func sentence(text []byte) []byte {
	for i := range len(text) - 1 {
		if text[i] == '.' && !bytes.HasSuffix(text[:i], []byte("e.g")) && (text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\\') {
			return text[:i]
		}
	}
	return text
}
