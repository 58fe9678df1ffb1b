package extract

import (
	"bytes"
	"slices"
	"strings"
)

// Many applications have side calls whose beginnings no list can have, since each words them in
// its own way. The rules in this file and in those below recognise such calls by what they ask
// for. A side call that is taken for a turn does little harm; a turn that is taken for a side
// call finds no home for its conversation. So each rule requires several signs at once, and
// looks only where side calls have them: in the first maxBeginning bytes of a text, or the last
// maxLastEnd.
//
// Words are looked for without letters that may be upper case, or that differ between two forms
// of a word.
//
//	titles.go     the title of a conversation
//	summaries.go  a summary in its place
//	questions.go  a standalone question, and those that the user may ask next
//	foreign.go    all of these in languages other than English
//	asides.go     a judgement about what was said, such as whether it is safe

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

// stems are beginnings of words, in lower case. The index is their first byte, with the bit set
// that tells lower from upper case.
type stems [256][]string

func stemsOf(list ...string) (s stems) {
	for _, stem := range list {
		first := stem[0] | ('a' - 'A')
		s[first] = append(s[first], stem)
	}
	return s
}

// in reports whether a word of a plain text, in any case, begins with one of the stems.
func (s *stems) in(text []byte) bool {
	inWord, escaped := false, false // escaped by a backslash: such a letter begins no word
	for i, c := range text {
		lower := c | ('a' - 'A')
		letter := 'a' <= lower && lower <= 'z' && !escaped
		if letter && !inWord {
			for _, stem := range s[lower] {
				if len(text)-i >= len(stem) && text[i+1]|('a'-'A') == stem[1] && strings.EqualFold(string(text[i:i+len(stem)]), stem) {
					return true
				}
			}
		}
		inWord, escaped = letter, c == '\\' && !escaped
	}
	return false
}

// fragments are parts of words, in lower case. The index is made of the low five bits of each of
// their first two bytes, which upper and lower case have in common.
type fragments [1 << 10][]string

func fragmentsOf(list ...string) (f fragments) {
	for _, w := range list {
		f[pairOf(w[0], w[1])] = append(f[pairOf(w[0], w[1])], w)
	}
	return f
}

func pairOf(a, b byte) uint { return uint(a&31)<<5 | uint(b&31) }

// in reports whether one of them is in a text. The case of ASCII letters makes no difference.
func (f *fragments) in(text []byte) bool {
	for i := 1; i < len(text); i++ {
		for _, w := range f[pairOf(text[i-1], text[i])] {
			if opensLower(text[i-1:], w) {
				return true
			}
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
	return slices.ContainsFunc(words, func(w string) bool { return bytes.HasPrefix(text, []byte(w)) })
}

// endsWith reports whether a text ends with one of the words.
func endsWith(text []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.HasSuffix(text, []byte(w)) })
}

// isCalled reports whether who, a text after its "you are", calls the model by one of the names,
// and ends is true for what follows the name.
func isCalled(who []byte, names []string, ends func(after []byte) bool) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		before, after, ok := bytes.Cut(who, []byte(name))
		return ok && !beforeOthers.in(before) && ends(after)
	})
}

// beforeOthers are between "you are" and a name if that is the name of somebody else, or of what
// the model is to make.
var beforeOthers = signs{{
	" that ", " who ", " whose ", " which ", " with ", " to ", " for ", " of ", "not a ", " not ", " each ", " every ",
	" by ", " using ", ". ", ": ", "\n", `\n`,
}}

// loweredBeginning returns the beginning of a plain text, without escapes and in lower case.
func loweredBeginning(text []byte) []byte {
	var buf [maxBeginning]byte
	return bytes.ToLower(beginningOf(text, buf[:0]))
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

// soleWish returns the class of a system prompt, given as it opens, that wants one thing of
// the model and nothing else: the title of a conversation or a message for a commit, which
// are Auxiliary, or a summary that takes the place of a conversation, which is a
// Compaction. It returns Turn for all others.
//
// It must be called only if there is nothing but a first question, and no tools. So an
// application whose conversations are about such things loses little: only the first call of
// each is taken for a side call, since all others have an answer in them, or continue state
// on the server.
func soleWish(text []byte) Class {
	if c := foreignWish(text, false); c != Turn || !wishStems.in(text) { // most texts
		return c
	}
	lower := loweredBeginning(text)
	order := sentence(lower)
	switch {
	case makesTitle(lower), writesCommits(order):
		return Auxiliary
	case wantsSummary(lower):
		return Compaction
	}
	return Turn
}

// isWriter reports whether the first sentence of a prompt, given as it opens, says to the model
// that it writes titles of conversations or messages for commits: "You are a tool that writes
// ...". People want something of an editor or a developer: that stands in a sentence of its own.
func isWriter(text []byte) bool {
	text = pastHeadings(text)
	if !startsWith(text, writerStarts) {
		return false
	}
	line, _, _ := bytes.Cut(text, lineBreak)
	order := sentence(loweredBeginning(line))
	return makesTitle(order) || writesCommits(order)
}

var writerStarts = []string{"You are a ", "You are an "}

// writesCommits reports whether an order is to write a commit message.
func writesCommits(order []byte) bool { return commitWords.in(order) && !commitOthers.in(order) }

// wishStems: each wish that soleWish knows has a word that begins with one of these.
var wishStems = stemsOf("title", "commit m", "summar", "compress", "compact", "condens")

// commitWords are in an order to write a commit message, and commitOthers if one is only
// mentioned.
var (
	commitWords = signs{
		{"commit message"},
		{"generat", "creat", "writ", "summar"},
	}
	commitOthers = signs{{" can ", " how to ", " help "}}
)

// addressesSubagent reports whether a system prompt, given as it opens, says to the model
// that it is a sub-agent: "You are a focused, read-only sub-agent".
func addressesSubagent(text []byte) bool {
	const longest = 64 // bytes after "You are " that are searched

	if bytes.HasPrefix(text, []byte("# ")) { // a heading
		_, text, _ = bytes.Cut(text, lineBreak)
		text = trimStart(text)
	}
	who, isYou := bytes.CutPrefix(text, []byte("You are "))
	return isYou && isCalled(who[:min(len(who), longest)], subagents, func(after []byte) bool { return !startsWith(after, afterOthers) })
}

// subagents are what a sub-agent is called, some with the name of its client.
var subagents = []string{"subagent", "sub-agent", "agent for Claude Code", "specialist for Claude Code", "agent for Crush."}

// afterOthers, right after such a name, make it that of somebody who manages sub-agents.
var afterOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
