package extract

import (
	"bytes"
	"slices"
)

// Many applications have side calls whose beginnings no list can have, since each words them in
// its own way. The rules in this file and in those below recognise such calls by what they ask
// for. A side call that is taken for a turn does little harm; a turn that is taken for a side
// call finds no home for its conversation. So each rule requires several signs at once, and
// looks only where side calls have them: in the first maxBeginning bytes of a text, or the last
// maxLastEnd. words.go finds the words.
//
//	titles.go     the title of a conversation
//	summaries.go  a summary in its place
//	questions.go  a standalone question, and those that the user may ask next
//	foreign.go    all of these in languages other than English
//	asides.go     a judgement about what was said, such as whether it is safe

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
	if c := foreignWish(text, false); c != Turn || !wishStems.begin(text) { // most texts
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
	line, _ := cutLine(text)
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

// addressesSubagent reports whether a system prompt, given as it opens, says to the model
// that it is a sub-agent: "You are a focused, read-only sub-agent".
func addressesSubagent(text []byte) bool {
	const longest = 64 // bytes after "You are " that are searched
	who, isYou := bytes.CutPrefix(pastHeadings(text), []byte("You are "))
	return isYou && isCalled(who[:min(len(who), longest)], subagents, func(after []byte) bool { return !startsWith(after, afterOthers) })
}

// subagents are what a sub-agent is called, some with the name of its client.
var subagents = []string{"subagent", "sub-agent", "agent for Claude Code", "specialist for Claude Code", "agent for Crush."}

// afterOthers, right after such a name, make it that of somebody who manages sub-agents.
var afterOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
