package extract

import (
	"bytes"
	"slices"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// wantsSummary reports whether the first sentence of a text in lower case is about making a
// conversation shorter, and the rest says that it is one with a model: there is a verb for that,
// and the conversation (or coding session) within a few words after it; or the model is called
// one of the compressors. A verb in the past tense does not count: a summary that has been made
// already is a part of many prompts.
func wantsSummary(lower []byte) bool {
	const near = 46 // bytes
	first := sentence(lower)
	if habitWords.in(first) {
		return false
	}
	for _, verb := range []string{"summariz", "summaris", "summaries of", "summary of", "compress", "compacting", "condens"} {
		before, after, ok := bytes.Cut(first, []byte(verb))
		if !ok || bytes.HasPrefix(after, []byte("ed")) || verb == "summary of" && !makes(before) {
			continue
		}
		if namesTalk(after[:min(len(after), near)]) {
			return summaryWords.in(lower[len(first)-len(after):]) && !talkOthers.in(after)
		}
	}
	who, isYou := bytes.CutPrefix(first, []byte("you are "))
	if !isYou {
		return false
	}
	return isCalled(who, compressors, func(after []byte) bool { return !compressorOthers.in(after) }) && summaryWords.in(lower) ||
		endsWith(bytes.TrimSuffix(who, []byte(".")), summarizers) && !summarizerOthers.in(who) && !askerOthers.in(lower)
}

// compressors are what a model is called that makes a conversation shorter, by OpenCode, ZeroClaw
// and many small agents. compressorOthers follow such a name if the model does so for people,
// or writes about it.
var (
	compressors = []string{
		"conversation summariz", "conversation compress", "conversation compact",
		"context summariz", "context compress", "context compact",
		"conversation history summariz", "conversation history compress", "conversation history compact",
	}
	compressorOthers = signs{{" for ", "researcher"}}
)

// summarizers are the ends of sentences that say that a model does this, and summarizerOthers
// are in the sentence if it does something else.
var (
	summarizers      = []string{" that summarizes conversations", " who summarizes conversations", " summaries of conversations"}
	summarizerOthers = signs{{" and ", " on ", " from ", " with ", " to "}}
)

// summarizesShown reports whether a text, given as it opens and as it ends, wants a summary of
// a conversation with a model, which it shows.
func summarizesShown(text, end []byte) bool {
	if !bytes.Contains(text, []byte("onversation")) || !assistantSpeaks.in(bytes.ToLower(jsonscan.AppendText(nil, end))) { // most texts
		return false
	}
	lower := loweredBeginning(text)
	order, _, _ := bytes.Cut(lower, []byte("\n"))
	return wantsSummary(lower) && !askingWords.in(order)
}

var assistantSpeaks = signs{{"\nassistant:", "\nsystem:", "\nai:", "\n[assistant]", "\nmodel:", "\nbot:"}}

// summaryWords follow if the conversation is one with a model, or is to be continued.
var summaryWords = signs{
	{"so far", "ai assistant", "preserv", "context", "continu", "histor", "older", "earlier", "previous"},
}

// namesTalk reports whether what is to be made shorter, given in lower case, is one conversation,
// or those of agents. (Applications have many conversations summarized, for people.)
func namesTalk(what []byte) bool {
	_, after, ok := bytes.Cut(what, []byte("conversation"))
	return ok && !startsWith(after, []string{"s", " threads"}) ||
		slices.ContainsFunc(modelTalks, func(t string) bool { return bytes.Contains(what, []byte(t)) })
}

var (
	modelTalks = []string{"chat history", "coding session ", "agent conversations"}
	// habitWords are in the first sentence of a prompt that says when to summarize, and what
	// else to do.
	habitWords = signs{{"first ", "before ", " each ", " every ", "always ", " then "}}
	// talkOthers are said of conversations between people.
	talkOthers = signs{{" customer", " patient", " client", " student"}}
)

// makes reports whether before, the text up to the name of a thing, says that the model is to
// make that thing: "creating a short ". A thing that is given, or from which another one is made,
// does not count.
func makes(before []byte) bool {
	const farthest = 50 // bytes from the name
	before = before[max(0, len(before)-farthest):]
	for _, verb := range []string{"creating a ", "create a ", "producing a ", "produce a ", "generating a ", "generate a ", "providing a ", "provide a ", "write a "} {
		if _, after, ok := bytes.Cut(before, []byte(verb)); ok {
			return !madeFrom.in(after)
		}
	}
	return false
}

var madeFrom = signs{{" from ", " with ", " to ", " of "}}
