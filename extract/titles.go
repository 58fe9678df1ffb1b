package extract

import (
	"bytes"
	"slices"
)

// makesTitle reports whether a text in lower case wants the model to make a title for a
// conversation: "a chat title", "a title for the conversation" or "the session as a title".
// Something that is to be made with a title, such as a post, does not count; nor does the title
// of an article, whatever is said about the conversation elsewhere.
func makesTitle(lower []byte) bool {
	const farthest = 60 // bytes from a verb to the title
	for rest := lower; ; {
		i := bytes.Index(rest, []byte("title"))
		if i < 0 {
			return false
		}
		rest = rest[i+len("title"):]
		before := lower[:len(lower)-len(rest)-len("title")]
		of := bytes.TrimRight(before, " -")
		if len(of) == len(before) || endsWith(of, otherTitles) { // a subtitle, or a song title
			continue
		}
		before = before[max(0, len(before)-farthest):]
		after := bytes.TrimPrefix(rest, []byte("s"))
		who, made := bytes.CutPrefix(after, []byte(" generator"))
		for _, verb := range titleVerbs {
			if i := bytes.LastIndex(before, []byte(verb)); i >= 0 && !titledOthers.in(before[i+len(verb):]) {
				made = true
				if condensedWords.in(before[i:]) {
					return true
				}
			}
		}
		if made && (endsWith(of, talkNames) && endsName(who) || titlesTalk(sentence(after)) || endsName(after) && givesTalk(before)) {
			return true
		}
	}
}

var (
	titleVerbs = []string{"generat", "creat", "writ", "summar", "output", "coming up with", "suggest", "provid"}
	talkNames  = []string{"conversation", "session", "thread", "chat", "essence of the discussion"}
	// otherTitles come before the title of something else, which may be made from a conversation.
	otherTitles = []string{"song", "ticket", "issue", "post", "article"}
	// titledOthers are between a verb and the title of something else.
	titledOthers = signs{{" with ", " has ", " each ", " it a ", ": ", ". "}}
	// condensedWords come before a title that a conversation is made into.
	condensedWords = signs{talkNames, {" into a", " as a"}}
	// titleOf are between a title and the conversation that it is for, and titleElsewhere if
	// it is for something else.
	titleOf        = signs{{" for ", " of ", " from the ", " from a ", " based on ", "captur", "summar", "describ", "reflect", "represent"}}
	titleElsewhere = signs{{" in this ", " with ", " when ", " each "}}
)

// titlesTalk reports whether after, the words between the word title and the end of the sentence,
// say that the title is that of a conversation: " that captures the essence of the
// conversation". If more is said about the conversation, the application wants something else
// made of it.
func titlesTalk(after []byte) bool {
	return slices.ContainsFunc(talkNames, func(talk string) bool {
		between, rest, ok := bytes.Cut(after, []byte(talk))
		rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte("s")), []byte("'s"))
		rest = bytes.TrimPrefix(rest, []byte(" is about"))
		return ok && titleOf.in(between) && !titleElsewhere.in(between) &&
			(endsName(rest) || bytes.HasSuffix(between, []byte(" begins a "))) // "the message a user begins a conversation with"
	})
}

// givesTalk reports whether before, a sentence up to the title that it ends in, says that the
// conversation is given, and that nothing but a title is made of it: "given a conversation, you
// will suggest a ".
func givesTalk(before []byte) bool {
	given, wanted, ok := bytes.Cut(trimStart(before[bytes.LastIndexByte(before, '.')+1:]), []byte(", "))
	return ok && bytes.HasPrefix(given, []byte("given ")) && endsWith(given, talkNames) && !bytes.Contains(wanted, []byte(" and "))
}

// endsName reports whether what follows the name of a conversation says no more than holds
// for any conversation, and wants nothing else done.
func endsName(after []byte) bool {
	return len(after) == 0 || startsWith(after, nameEnds) && !startsWith(after, goesOn) || saysLength(after)
}

// wantsTitleOfThis reports whether a person's words, given as they open, want a title for the
// conversation that they are in, and say how long it is to be, "Create a 2-4 word title for
// this conversation", or show the conversation; or want it summarized into one. Clients write
// so, and hardly anybody else.
func wantsTitleOfThis(text []byte) bool {
	if !bytes.Contains(text, []byte(" title")) { // most texts
		return false
	}
	const farthest = 100 // bytes from the start
	lower := loweredBeginning(text)
	before, after, ok := bytes.Cut(lower, []byte(" title"))
	if !ok || titleTellers.in(before) {
		return false
	}
	if condensesTalk(before, after) {
		return true
	}
	if len(before) > farthest || !titleOrders.in(lower) {
		return false
	}
	sized := titleLengths.in(lower)
	if sized && endsWith(before, talkTitles) && endsName(after) {
		return true
	}
	if rest, ok := bytes.CutPrefix(after, []byte(" (")); ok { // " (max 5 words)"
		_, after, _ = bytes.Cut(rest, []byte(")"))
	}
	if saysLength(after) { // " of at most 6 words"
		after = after[max(0, bytes.Index(after, []byte(" for "))):]
	}
	what, ok := bytes.CutPrefix(after, []byte(" for "))
	return ok && slices.ContainsFunc(talks, func(t string) bool {
		// The current conversation, and not one in a novel or with a landlord, about which
		// more is said.
		rest, ok := bytes.CutPrefix(what, []byte(t))
		return ok && (sized && endsName(rest) || showsTalk(rest))
	})
}

// showsTalk reports whether the rest of an order shows the conversation that it is about, from the
// first line of a person on: ":\nUser: hi".
func showsTalk(rest []byte) bool {
	talk, ok := bytes.CutPrefix(rest, []byte(":\n"))
	if !ok {
		return false
	}
	_, label := afterLabel(bytes.TrimSpace(talk))
	return label
}

// condensesTalk reports whether words, given before and after "title", want the conversation
// summarized into a title, and nothing else: "summarize the conversation into a short title."
func condensesTalk(before, after []byte) bool {
	const longest = 50 // bytes of the name of the conversation, and of what kind of title
	if len(after) > 0 && !startsWith(after, titleEnds) && !saysLength(after) {
		return false
	}
	into := bytes.LastIndex(before, []byte(" into a"))
	if into < 0 || len(before)-into > longest {
		return false
	}
	order := before[:into]
	i := max(bytes.LastIndex(order, []byte("summar")), bytes.LastIndex(order, []byte("condens")))
	if i < 0 {
		return false
	}
	_, what, _ := bytes.Cut(order[i:], []byte(" "))
	return len(what) <= longest && startsWith(what, talks)
}

// saysLength reports whether the rest of a sentence says how long something is to be: " in less
// than 6 words".
func saysLength(after []byte) bool {
	return startsWith(after, limits) && limitWords.in(sentence(after))
}

var (
	titleEnds  = []string{".", "\n", " ("}
	limits     = []string{" in ", " within ", " under ", " of "}
	limitWords = signs{{"word", "character"}}

	// talkTitles come before the title, as in "a chat title".
	talkTitles   = []string{" conversation", " chat", " dialog", " dialogue"}
	titleLengths = signs{{"word", "character", "concise", "short", "brief", "other than the title"}}
	titleOrders  = signs{{"generat", "creat", "writ", "provid", "suggest", "reply", "give", "summar", "find a ", "come up with"}}
	// titleTellers come before a title that somebody else is to make, or that is only talked
	// about.
	titleTellers = signs{{" that ", " which ", "function", " script", "translate", "how ", "prompt"}}
	// talks are what the current conversation is called.
	talks = []string{
		"this coding session", "a coding session", "a new chat session", "a new conversation", "a conversation", "a chat conversation",
		"this conversation", "our conversation", "the conversation", "the user's conversation", "the following conversation", "the above conversation",
		"this chat", "this chat session", "the chat",
		"the following user query", "the following user message", "the user's first message",
	}
	goesOn   = []string{", then", ", and then"}
	nameEnds = []string{".", ",", ":", "\n", " (", " so far", " based on", " from", " using", " that start", " that is", " that summar", " that captur", " and nothing", " histor", " below", " above",
		" between a user", " between the user"}
)
