package extract

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// Many applications have side calls that no list can have the openings of, since they word
// what they want of a model in their own way. The rules in this file know such calls by what
// they ask for. A side call that is taken for a turn does little harm; a turn that is taken
// for a side call finds no home for its conversation. So each rule wants several signs at
// once, and looks only where side calls have them: among the first maxOpened bytes of a text,
// or the last maxLastEnd.
//
// Words are looked for without the letters that may be capital ones, or that differ between
// two forms of a word.

// words are some lists of words, in lower case.
type words [][]string

// in reports whether a text has a word of each list.
func (ws words) in(text []byte) bool {
	for _, wanted := range ws {
		if !slices.ContainsFunc(wanted, func(w string) bool { return bytes.Contains(text, []byte(w)) }) {
			return false
		}
	}
	return true
}

// stems are beginnings of words in lower case, by their first letter.
type stems ['z' + 1][]string

func stemsOf(list ...string) (s stems) {
	for _, stem := range list {
		s[stem[0]] = append(s[stem[0]], stem)
	}
	return s
}

// in reports whether a word of a plain text, in any case, begins with one of the stems.
func (s *stems) in(text []byte) bool {
	inWord, escaped := false, false // by a backslash: what follows is no word
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

// startsWith reports whether a text begins with one of the words.
func startsWith(text []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.HasPrefix(text, []byte(w)) })
}

// endsWith reports whether a text ends with one of the words.
func endsWith(text []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.HasSuffix(text, []byte(w)) })
}

// soleWish returns the class of a system prompt, given as it opens, that wants one thing of
// the model and nothing else: the title of a conversation or a message for a commit, which
// are Auxiliary, or a summary that takes the place of a conversation, which is a
// Compaction. It returns Turn for all others.
//
// The caller asks it of first questions only, without tools. An application that has such
// things written for something else loses little by that: each of its later calls has an
// answer in it, or goes on from state on the server.
func soleWish(text []byte) Class {
	if !wishStems.in(text) && !bytes.Contains(text, []byte("标题")) { // as most
		return Turn
	}
	lower := loweredOpening(text)
	switch {
	case makesTitle(lower), chineseTitles.in(lower), chineseTitleWords.in(lower) && !chineseOthers.in(lower), wantsCommit(sentence(lower)):
		return Auxiliary
	case wantsSummary(lower):
		return Compaction
	}
	return Turn
}

// wishStems are how words begin of which each wish that soleWish knows has one.
var wishStems = stemsOf("title", "titling", "retitle", "commit m", "summar", "compress", "compact", "condens")

var (
	chineseTitles = words{
		{"会话标题", "对话标题", "聊天标题"},
		{"生成", "总结", "命名"},
	}
	chineseTitleWords = words{
		{"标题"},
		{"会话", "对话", "聊天"},
		{"总结", "生成"},
		{"字内", "字以内", "个字", "不超过", "简短", "简洁"}, // how long it is to be
	}
	// What is to have a title there, if it is not the conversation.
	chineseOthers = words{{"文章", "工单", "视频", "帖子", "邮件"}}
	commitWords   = words{
		{"commit message"},
		{"generat", "creat", "writ", "summar"},
	}
	// What is said behind a summary of a conversation that is one with a model, or goes on.
	summaryWords = words{
		{"so far", "ai assistant", "preserv", "context", "continu", "histor", "older", "earlier", "previous"},
	}
)

// wantsCommit reports whether a sentence in lower case wants the model to write a commit
// message, rather than saying that it can.
func wantsCommit(sentence []byte) bool { return commitWords.in(sentence) && !commitOthers.in(sentence) }

var commitOthers = words{{" can ", " how to ", " help "}}

// makesTitle reports whether a text in lower case wants the model to make a title of a
// conversation: "a chat title", "a title for the conversation" or "the session as a title".
// Something that is to be made with a title, such as a post, is not meant; nor is the title
// of an article, whatever is said of the conversation elsewhere.
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
		behind := bytes.TrimPrefix(rest, []byte("s"))
		who, made := bytes.CutPrefix(behind, []byte(" generator"))
		for _, verb := range titleVerbs {
			if i := bytes.LastIndex(before, []byte(verb)); i >= 0 && !titledOthers.in(before[i+len(verb):]) {
				made = true
				if condensedWords.in(before[i:]) {
					return true
				}
			}
		}
		if made && (endsWith(of, talkNames) && endsName(who) || titlesTalk(sentence(behind))) {
			return true
		}
	}
}

var (
	titleVerbs = []string{"generat", "creat", "writ", "summar", "output", "coming up with"}
	talkNames  = []string{"conversation", "session", "thread", "chat"}
	// otherTitles are in front of the title of something else, which may be made from a conversation.
	otherTitles = []string{"song", "ticket", "issue", "post", "article"}
	// titledOthers stand between a verb and the title of something else.
	titledOthers = words{{" with ", " has ", " each ", " it a ", ": ", ". "}}
	// condensedWords are in front of the title that a conversation is made into.
	condensedWords = words{talkNames, {" into a", " as a"}}
	// titleOf are between a title and the conversation that it is of, and titleElsewhere where it is
	// of something else.
	titleOf        = words{{" for ", " of ", " from the ", " from a ", " based on ", "captur", "summar", "describ", "reflect", "represent"}}
	titleElsewhere = words{{" in this ", " with ", " when ", " each "}}
)

// titlesTalk reports whether words, from behind the word title to the end of the sentence,
// say that the title is that of a conversation: " that captures the essence of the
// conversation". If more is said of the conversation, the application wants something else
// made of it.
func titlesTalk(behind []byte) bool {
	return slices.ContainsFunc(talkNames, func(talk string) bool {
		between, rest, ok := bytes.Cut(behind, []byte(talk))
		rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte("s")), []byte("'s"))
		return ok && titleOf.in(between) && !titleElsewhere.in(between) &&
			(endsName(rest) || bytes.HasSuffix(between, []byte(" begins a "))) // "the message a user begins a conversation with"
	})
}

// endsName reports whether what follows the name of a conversation says no more than holds
// for any conversation, and wants nothing else done.
func endsName(behind []byte) bool {
	return len(behind) == 0 || startsWith(behind, titledEnds) && !startsWith(behind, goesOn) || saysLength(behind)
}

// addressesSummarizer reports whether a text in lower case says to the model that it is a
// conversation summarizer.
func addressesSummarizer(lower []byte) bool {
	who, behind, ok := bytes.Cut(sentence(lower), []byte("conversation summarizer"))
	return ok && bytes.HasPrefix(who, []byte("you are a")) && !beforeOthers.in(who) && endsName(behind)
}

// wantsSummary reports whether the first sentence of a text in lower case is of making a
// conversation shorter, and the rest says that it is one with a model: there is a word for the
// former, and the conversation (or coding session) within a few words behind; or the model is
// called one of the compressors. A summary that has been made is a part of many prompts, so the
// past tense is not meant. The sentence may be the one that says what the task is.
func wantsSummary(lower []byte) bool {
	if startsWith(lower, summaryOrders) || ordersSummary(lower) {
		return true
	}
	for _, task := range []string{"your task is to ", "your job is to "} { // behind who the model is
		if _, order, ok := bytes.Cut(lower, []byte(task)); ok {
			return ordersSummary(order)
		}
	}
	return false
}

// summaryOrders are of the conversation at hand, whatever else is said.
var summaryOrders = []string{"summarize this conversation", "summarize the given conversation"}

// ordersSummary is wantsSummary for what a text says in one sentence, and then of it.
func ordersSummary(lower []byte) bool {
	const near = 46 // bytes
	first := sentence(lower)
	if habitWords.in(first) {
		return false
	}
	for _, verb := range []string{"summariz", "summaris", "summaries of", "summary of", "compress", "compacting", "condens"} {
		before, behind, ok := bytes.Cut(first, []byte(verb))
		if !ok || bytes.HasPrefix(behind, []byte("ed")) || verb == "summary of" && !makes(before) {
			continue
		}
		rest := lower[len(first)-len(behind):]
		switch {
		case bytes.HasSuffix(before, []byte("conversation ")):
			if addressesSummarizer(lower) {
				return true
			}
		case namesTalk(behind[:min(len(behind), near)]):
			return summaryWords.in(rest) && !talkOthers.in(behind)
		}
	}
	who, isYou := bytes.CutPrefix(first, []byte("you are "))
	return isYou && summaryWords.in(lower) && slices.ContainsFunc(compressors, func(c []byte) bool {
		before, behind, ok := bytes.Cut(who, c)
		return ok && !beforeOthers.in(before) && !compressorOthers.in(behind)
	})
}

// namesTalk reports whether what is to be made shorter, given in lower case, is one conversation,
// or those of agents. (Applications have many conversations summarized, for people.)
func namesTalk(what []byte) bool {
	_, behind, ok := bytes.Cut(what, []byte("conversation"))
	return ok && !startsWith(behind, []string{"s", " threads"}) ||
		slices.ContainsFunc(modelTalks, func(t string) bool { return bytes.Contains(what, []byte(t)) })
}

var (
	modelTalks = []string{"chat history", "coding session ", "agent conversations"}
	// habitWords are in the first sentence of a prompt that says when to summarize, and what else to do.
	habitWords = words{{"first ", "before ", " each ", " every ", "always ", " then "}}
	// talkOthers are of a conversation that people have had with each other.
	talkOthers = words{{" customer", " patient", " client", " student"}}
	// compressorOthers are behind the name of one who makes other conversations shorter, or tells of it.
	compressorOthers = words{{" for ", "researcher"}}
)

// compressors are what a model is called that makes a conversation shorter.
var compressors = [][]byte{
	[]byte("conversation compress"), []byte("conversation compact"),
	[]byte("context summariz"), []byte("context compress"), []byte("context compact"),
	[]byte("chat history summariz"), []byte("conversation history summariz"), []byte("conversation history compress"), []byte("conversation history compact"),
}

// makes reports whether a text, given up to the name of a thing, says that the model is to
// make the thing: "creating a short ". A thing that is given, or from which another is
// made, is not meant.
func makes(before []byte) bool {
	const farthest = 50 // bytes from the name
	before = before[max(0, len(before)-farthest):]
	for _, verb := range []string{"creating a ", "create a ", "producing a ", "produce a ", "generating a ", "generate a ", "providing a ", "provide a ", "write a "} {
		if _, behind, ok := bytes.Cut(before, []byte(verb)); ok {
			return !madeFrom.in(behind)
		}
	}
	return false
}

var madeFrom = words{{" from ", " with ", " to ", " of "}}

// wantsStandaloneQuestion reports whether a text, given as it opens, wants a question that can
// be understood without the conversation: applications ask for one to look something up. They
// do so in the first sentence, which says what is given and what to make of it, or calls the model
// one who does so. Others write about such questions, or want them answered.
func wantsStandaloneQuestion(text []byte) bool {
	if !bytes.Contains(text, []byte("alone")) && !endsWith(sentence(text), []string{"ephraser", "ewriter"}) { // as most
		return false
	}
	lower := loweredOpening(text)
	order := sentence(lower)
	who, isYou := bytes.CutPrefix(order, []byte("you are a"))
	if isYou && (endsWith(who, rephrasers) && !beforeOthers.in(who) && followUpWords.in(lower[len(order):]) || rewords(who)) {
		return true
	}
	if rest := lower[len(order):]; bytes.HasPrefix(order, []byte("you will be given ")) && len(rest) > 1 {
		order = lower[:len(order)+1+len(sentence(rest[1:]))] // what to make of it is said next
	}
	if !startsWith(order, standaloneOrders) || !conversationWords.in(order) {
		return false
	}
	for _, what := range standalone {
		if before, behind, ok := bytes.Cut(order, []byte(what)); ok {
			return standaloneWords.in(before) && !askingWords.in(before) && !answeredWords.in(behind)
		}
	}
	return false
}

// rewords reports whether a model, given what is said of who it is, makes the last message of
// the user one that stands alone, and nothing else: " assistant that reformulates the last user
// message into a standalone query".
func rewords(who []byte) bool {
	before, behind, ok := bytes.Cut(who, []byte("standalone"))
	return ok && rewordWords.in(before) && rewordedWords.in(behind) && !besideWords.in(who) && !answeredWords.in(behind)
}

var (
	rewordWords = words{
		{" that reformulates ", " that rephrases ", " that rewrites ", " who reformulates ", " who rephrases ", " who rewrites "},
		{"message", "question", "quer", "follow"},
	}
	rewordedWords = words{{"quer", "question"}}
)

var (
	standaloneOrders = []string{
		"given ", "you will be given ", "based on ", "your task is to ",
		"rewrite the ", "rephrase the ", "reformulate the ", "condense the ",
		"you rewrite the ",
	}
	// rephrasers are what a model is called that makes such questions, and followUpWords of what.
	rephrasers        = []string{" question rephraser", " query rephraser", " question rewriter", " query rewriter"}
	followUpWords     = words{{"follow-up", "follow up", "followup"}, {"conversation", "chat history", "chat_history"}}
	standalone        = []string{"standalone question", "stand-alone question", "standalone query", "standalone search query"}
	conversationWords = words{{"conversation", "chat history", "chat_history"}}
	// What is made into such a question stands in front of it, and how.
	standaloneWords = words{
		{"rewrit", "rephras", "formulat", "convert", "condens", "combin", "generat", "creat", "synthes"},
		{"question", "query", "message", "follow", "input"},
	}
	askingWords   = words{{" i ", " my ", " how ", "?", " answer the ", " code "}}
	answeredWords = words{{"and answer", "then answer", "before answer", "and explain", " that i ", " for my "}}
)

// wantsNextQuestions reports whether a text, given as it opens and as it ends, wants the questions
// that the user may ask next. Applications show these below an answer; what they ask for stands
// behind the conversation that it is about, or in front of it, and the text is to show that as well. Persons ask for
// questions of theirs, or of any user.
func wantsNextQuestions(text, end []byte) bool {
	if !bytes.Contains(end, []byte(" ask")) && !bytes.Contains(text, []byte(" ask")) { // as most
		return false
	}
	ends, opens := bytes.ToLower(jsonscan.AppendText(nil, end)), loweredOpening(text)
	order := sentence(opens)
	if !nextQuestionWords.in(ends) && !(startsWith(order, nextOrders) && nextQuestionWords.in(order)) {
		return false
	}
	return talkWords.in(slices.Concat(ends, []byte("\n"), opens))
}

// suggestsQuestions reports whether a system prompt, given as it opens, has the model suggest what
// the user may ask next, and nothing else: its first sentence is an order to do so, or says that
// the model is one who does. An assistant who does so beside answering is told to at some point.
func suggestsQuestions(text []byte) bool {
	if first := sentence(text); !bytes.Contains(first, []byte("uestion")) || !bytes.Contains(first, []byte(" ask")) { // as most
		return false
	}
	order := sentence(loweredOpening(text))
	if !suggestedWords.in(order) || habitWords.in(order) || besideWords.in(order) {
		return false
	}
	if startsWith(order, suggestOrders) {
		return true
	}
	who, isYou := bytes.CutPrefix(order, []byte("you are a"))
	return isYou && suggesterWords.in(who)
}

var (
	suggestedWords = words{
		{"question"},
		{" user ", " users ", " human "},
		{"might ask", "may ask", "could ask", "would ask", "can ask", "want to ask", "likely to ask", "likely ask"},
		{"next", "likely", "follow-up", "followup", "follow up"},
	}
	suggestOrders = []string{
		"suggest ", "generate ", "predict ", "propose ", "recommend ",
		"you suggest ", "you generate ", "you predict ", "your task is to suggest ", "your task is to generate ", "your task is to predict ",
	}
	suggesterWords = words{{" that suggests ", " that generates ", " that predicts ", " who suggests ", " who generates ", " who predicts "}}
	// besideWords tell of what else the model is to do.
	besideWords = words{{" answer the ", " answers ", " answer,", " after ", " respond"}}
)

var (
	nextQuestionWords = words{
		{"question"},
		{"predict", "suggest", "generat", "give me", "recommend", "propos"},
		{"that user ", "the user ", "that human ", "the human "},
		{"might ask", "may ask", "could ask", "would ask", "might want to ask", "is likely to ask"},
		{"next", "likely", "follow-up", "followup"},
	}
	// nextOrders are how such a text begins if it shows the conversation behind what it wants.
	nextOrders = []string{"given the ", "based on the ", "generate ", "suggest ", "predict "}
	talkWords  = words{{"conversation histor", "chat histor", "following conversation", "previous conversation", "conversation below", "\nhuman", "\nuser", "\nai: ", "\nassistant"}}
)

// loweredOpening returns how a plain text opens, without escapes and in lower case.
func loweredOpening(text []byte) []byte {
	var buf [maxOpened]byte
	return bytes.ToLower(opened(text, buf[:0]))
}

// sentence returns the first sentence of a text, plain or not. What comes behind it in a
// system prompt is mostly about how the model is to speak, whatever it is asked.
func sentence(text []byte) []byte {
	for i := range len(text) - 1 {
		if text[i] == '.' && !bytes.HasSuffix(text[:i], []byte("e.g")) && (text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\\') {
			return text[:i]
		}
	}
	return text
}

// addressesSubagent reports whether a system prompt, given as it opens, says to the model
// that it is a sub-agent: "You are a focused, read-only sub-agent".
func addressesSubagent(text []byte) bool {
	const longest = 80 // bytes from the start to the end of the word

	if bytes.HasPrefix(text, []byte("# ")) { // a heading
		_, text, _ = bytes.Cut(text, []byte(`\n`))
		text = trimStart(text)
	}
	text, ok := bytes.CutPrefix(text, []byte("You are "))
	if !ok {
		return false
	}
	who, behind, ok := bytes.Cut(text[:min(len(text), longest)], []byte("sub-agent"))
	if !ok {
		who, behind, ok = bytes.Cut(text[:min(len(text), longest)], []byte("subagent"))
	}
	return ok && !beforeOthers.in(who) && !startsWith(behind, behindOthers)
}

// What stands before and behind the word where a sub-agent is somebody else: words between
// the model and it, or the end of a sentence; and what makes of it the name of one who has to
// do with sub-agents.
var (
	beforeOthers = words{{" that ", " who ", " whose ", " which ", " with ", " to ", " for ", " of ", "not a ", " not ", " each ", " every ",
		" by ", " using ", ". ", ": ", "\n", `\n`}}
	behindOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
)

// wantsTitleOfThis reports whether a person's words, given as they open, want a title for the
// conversation that they are in, and say how long it is to be: "Create a 2-4 word title for
// this conversation", or show the conversation as well; or want the conversation summarized into one. Clients write so, and hardly
// anybody else.
func wantsTitleOfThis(text []byte) bool {
	if !bytes.Contains(text, []byte(" title")) { // as most
		return false
	}
	const farthest = 100 // bytes from the start
	lower := loweredOpening(text)
	before, behind, ok := bytes.Cut(lower, []byte(" title"))
	if !ok {
		return false
	}
	if condensesTalk(before, behind) {
		return true
	}
	what, ok := bytes.CutPrefix(withoutLength(behind), []byte(" for "))
	return ok && len(before) <= farthest && (titleLengths.in(lower) || shownTalk.in(lower)) && !titleTellers.in(before) &&
		(isTalk(what) || bytes.HasPrefix(what, []byte("the following message")) && bytes.Contains(what, []byte("\nuser: ")))
}

// isTalk reports whether what is to have a title is the conversation at hand, and not one in a
// novel or with a landlord, about which more is said.
func isTalk(what []byte) bool {
	return slices.ContainsFunc(titled, func(t string) bool {
		rest, ok := bytes.CutPrefix(what, []byte(t))
		return ok && endsName(rest)
	})
}

// condensesTalk reports whether words, given up to a title and from there, want the conversation
// summarized into it, and nothing else: "summarize the conversation into a short title."
func condensesTalk(before, behind []byte) bool {
	const longest = 50 // bytes of the name of the conversation, and of what kind of title
	if len(behind) > 0 && !startsWith(behind, titleEnds) && !saysLength(behind) {
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
func saysLength(behind []byte) bool {
	return startsWith(behind, limits) && limitWords.in(sentence(behind))
}

// withoutLength returns what stands behind the word title without how long that is to be: " (max
// 5 words)", " in less than 6 words".
func withoutLength(behind []byte) []byte {
	if rest, ok := bytes.CutPrefix(behind, []byte(" (")); ok {
		_, behind, _ = bytes.Cut(rest, []byte(")"))
		return behind
	}
	length, _, ok := bytes.Cut(behind, []byte(" for "))
	if ok && startsWith(length, limits) && limitWords.in(length) {
		return behind[len(length):]
	}
	return behind
}

var (
	titleEnds = []string{".", "\n", " ("}
	talks     = []string{
		"the conversation", "this conversation", "our conversation", "the user's conversation", "the following conversation", "the above conversation",
		"the dialog", "this dialog",
	}

	limits     = []string{" in ", " within ", " under ", " of "}
	limitWords = words{{"word", "character"}}

	titleLengths = words{
		{"word", "character", "concise", "short", "brief"},
		{"generat", "creat", "writ", "provid", "suggest", "reply", "give", "summar", "find a "},
	}
	// shownTalk is in a text that shows the conversation as well.
	shownTalk = words{{"generat", "creat", "writ"}, {"\nuser: ", "\nhuman: "}}
	// titleTellers are in front of a title that somebody else is to make, or that is only talked about.
	titleTellers = words{{" that ", " which ", "function", " script", "translate", "how ", "prompt"}}
	titled       = []string{
		"this coding session", "a coding session", "a new chat session", "a new conversation",
		"this conversation", "our conversation", "the conversation", "the following conversation", "a conversation", "a chat conversation",
		"this chat", "this chat session", "the chat",
	}
	goesOn     = []string{", then", ", and then"}
	titledEnds = []string{".", ",", ":", "\n", " (", " so far", " based on", " from", " using", " that start", " that is", " that summar", " that captur", " and nothing", " histor", " below", " above",
		" between a user", " between the user"}
)
