package extract

import (
	"bytes"
	"slices"
)

// Frameworks ask a model about a conversation, before and behind each turn of it: whether
// what was said is allowed, who is to answer it, what to look up for it, what of it to
// remember, what may come next. Such prompts are worded in as many ways as there are
// applications, but they say to the model that it is one who does this, or begin with an
// order about "the user message", as developers call it. wishes.go says more about
// rules of this kind.

// ordersAside reports whether a prompt, given as it opens, orders such a call and nothing else.
// The caller asks it of first questions only, without tools, as it asks soleWish.
func ordersAside(text []byte) bool {
	opens := text[:min(len(text), maxOpened)]
	if !asideStems.in(sentence(opens)) && !slices.ContainsFunc(asideHints, func(h []byte) bool { return bytes.Contains(opens, h) }) { // as most
		return false
	}
	var buf [maxOpened]byte
	lower := oneLine(opened(text, buf[:0]))
	first := sentence(lower)
	return isAsker(first, lower) ||
		(judges(lower, first) ||
			routeWords.in(lower) ||
			queryWords.in(lower) && !queryOthers.in(lower) ||
			memoryWords.in(first)) && !asideOthers.in(lower)
}

// isAsker reports whether the first sentence of a prompt says to the model that it is one of
// the askers: "you are a query rewriter for our shop".
func isAsker(first, lower []byte) bool {
	i := bytes.Index(first, []byte("you are a"))
	return 0 <= i && i <= len("<role>") && askedWords.in(lower) && !askerOthers.in(lower) && slices.ContainsFunc(askers, func(name string) bool {
		before, behind, ok := bytes.Cut(first[i+len("you are a"):], []byte(name))
		return ok && !beforeOthers.in(before) && (len(behind) == 0 || startsWith(behind, askerEnds))
	})
}

// judges reports whether a prompt wants a verdict on what somebody has said.
func judges(lower, first []byte) bool {
	order := first
	for _, start := range []string{"[inst] ", "task: ", "your task is to ", "your job is to "} {
		order = bytes.TrimPrefix(order, []byte(start))
	}
	return startsWith(order, verdictStarts) && (!bytes.Contains(order, []byte(" and ")) || formWords.in(lower)) ||
		verdictWords.in(lower)
}

// addressesModel reports whether words, given as they open, are an order as prompts have it. Persons
// begin so as well, but not with such an order.
func addressesModel(text []byte) bool {
	return slices.ContainsFunc(promptStarts, func(s []byte) bool { return bytes.HasPrefix(text, s) })
}

var promptStarts = [][]byte{
	[]byte("You are "), []byte("You will be given "), []byte("Your task is "), []byte("Your job is "), []byte("Task: "), []byte("[INST] Task: "), []byte("Given a "), []byte("Given the "), []byte("Based on "),
	[]byte("Classify "), []byte("Determine "), []byte("Rewrite the "), []byte("Extract "),
}

// oneLine makes one space of each stretch of white space in a text and small letters of
// capital ones, in place.
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

// asideStems are how words begin of which one is in the first sentence of each order, unless that
// has one of the asideHints: it says what is given, or only who the model is.
var asideStems = stemsOf(
	"classif", "guardrail", "filter", "rout", "rewrit", "re-writ", "rephras", "reformulat", "decompos", "expander", "optimiz", "convert", "translate", "versions", "sub-quer", "step-back", "search",
	"memor", "extract", "validator", "determin", "decide", "check", "evaluat", "judg", "assess", "detect", "grad", "moderation", "policy expert",
	"select the ", "choose the ", "pick the ", "role play",
)

var asideHints = [][]byte{[]byte("task is"), []byte("job is"), []byte(" given "), []byte(" receive ")}

// askers are what a model is called that is asked about conversations.
var (
	askers = []string{
		"classifier", "classification", "guardrail", "content filter", "validator", "detector", "routing agent", " router",
		"rewriter", "re-writer", "query expander", "search query optimizer", "grader", "evaluator",
		"extractor", "memory extraction", "memory observer", "memory reflector", "memory synthesizer", "memory distiller", "memory consolidation",
	}
	// askedWords are said of what an asker is asked: routes may be those of trucks.
	askedWords = words{{"user", "question", "quer", "message", "conversation", "json", "intent", "fact", "check", "analyze", "content", "answer", "violate"}}
	askerEnds  = []string{
		".", ",", ":", " for ", " that ", " in ", " tasked ", " responsible ", " designed ", " screening ", " assessing ",
		" agent", " assistant", " system", " engine.", " engine,", " engine ", " specialist", " analyzer", " component", " model",
	}
	// askerOthers are in the prompts of those who are asked by persons, about something else.
	askerOthers = words{{"ql", " seo ", " pastes", "users paste", "student", "you explain", "you answer "}}
)

var (
	// asideOthers are in the prompts of applications that go on to answer, or say what to do in which case.
	asideOthers = words{{
		"ql ", "ql.", "cypher", "and respond", "and answer", "and reply", "and explain", "and correct", "and tell", "and then", "then answer", "then respond", "before answer", "before respond",
		"help the user", "help users", "helps ", "you help", "first ", "each answer", "each time", "each turn", "each message", "every ", "always ", "whenever ",
		". if ", ", if ", "if you ", "when the user", "refuse", "polite", " i ", " my ", " me ", " how do ", " how would ", " how can ", " how should ", " your answer", "at the end", "after your", "after each",
		". ask ", ". greet ", ". help ", ". offer ", ". tell ", "grammar", "python", "javascript", "regex", " csv",
	}}

	// verdictStarts: "Check if the user is asking you to do their homework."
	verdictStarts = []string{
		"check if the user", "check whether the user", "determine if the user", "determine whether the user", "decide if the user", "decide whether the user",
		"classify the user", "classify the following user", "classify the intent of the user", "check if the bot message",
	}
	// formWords say in which form a verdict is to be given.
	formWords = words{{
		"only return", "return only", "output only", "only output", "respond only with", "reply only with", "respond with only", "reply with only", " intent only", "label only", "only the intent",
		"binary", "yes or no", "'yes' or 'no'", "'yes' if", "true or false", "one word", "json", "into one of", "exactly one", "following intents", "following categories", "following classes", "'is_",
	}}
	// verdictWords: "determine whether a user prompt is in violation of the policies", "assessing relevance of a
	// retrieved document to a user question".
	verdictWords = words{
		{"classif", "determine ", "decide ", "check if", "check whether", "assess", "evaluat", "judg", "grad", "detect", "task is to check"},
		{
			"user message", "user input", "user prompt", "user quer", "user question", "user request", "user's", "'user' messages", "in user messages", "query ", "intent",
			"bot message", "bot response", "'agent' messages", "in agent messages", "assistant's response", "assistant response", "ai response", "llm ", "an answer", "the answer", "'s answer", "the ai ", "a response", "statement", "conversation",
		},
		append(formWords[0], "unsafe", "policy", "policies", "jailbreak", "injection", "harmful", "malicious", "violat", "off-topic", "on-topic", "retriev", "resolves a question",
			"is to classify ", "is to determine if ", "is to determine whether ", "is to determine the intent", "is to decide ", "is to check ", "is to assess ", "is to evaluate ", "is to detect ",
			"you are evaluating ", "you are assessing ", "you will be given", "you will receive", "you are given", "given a question", "given a context", "given a topic", "criteri", "rubric"),
	}

	// routeWords: "route a user question to a vectorstore or web search".
	routeWords = words{
		{"routing ", "route ", "router", "select the ", "choose the ", "pick the ", "decide which ", "determine which ", "determine the most ", "role play game"},
		{"user question", "user's question", "user query", "user's query", "user message", "user's message", "user's next message", "user request", "user's request", "user input", "user's input", "raw text input", "roles are available"},
		{"vectorstore", "vector store", "suitable data source", "model prompt", "which agent", "agent's name", "name of the agent", "following agents", "fitting route", "following routes", "roles are available"},
	}

	// queryWords: "rewrite the user query so that it is optimized for retrieval", "generate three different versions of
	// the given question". queryOthers are in prompts for an answer from what was found.
	queryWords = words{
		{"rewrit", "re-writ", "rephras", "reformulat", "decompos", "convert", "translate", "different versions", "sub-quer", "step-back"},
		{"quer", "question"},
		{"retriev", "vector database", "when querying", "search quer", "only the query", "to look up", "web search", "original query", "rewritten query"},
	}
	queryOthers = words{{" answer the", " answers", "an answer", "to answer"}}

	// memoryWords: "extract facts about the user from the conversation that are worth remembering".
	memoryWords = words{
		{"extract", "update", "memory manager", "memory system", "searching memory", "existing memories"},
		{"memories", "memory", "facts about the user", "personal facts", "worth remembering"},
		{"statements", "conversation", "chat history", "extraction", "maintaining", "to be stored", "searching memory", "existing memories", "worth remembering"},
	}
)
