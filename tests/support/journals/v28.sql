BEGIN TRANSACTION;
CREATE TABLE claims (
	"key" TEXT NOT NULL, 
	claimant TEXT NOT NULL, 
	root TEXT NOT NULL, 
	leaf TEXT NOT NULL, 
	want JSON, 
	request TEXT NOT NULL, 
	source TEXT NOT NULL, former TEXT, 
	PRIMARY KEY ("key", claimant)
);
INSERT INTO "claims" VALUES('first/account/jdoe','user:jdoe','user:jdoe','user:jdoe','{"present":true,"limit":"2000"}','01M8H4ET362GF183418PVP65XM','root','01M8H4ET362GF183418PVP65XM');
INSERT INTO "claims" VALUES('second/account/jdoe','user:jdoe','user:jdoe','user:jdoe','{"present":true,"limit":"2000"}','01M8H4ET362GF183418PVP65XM','root','01M8H4ET362GF183418PVP65XM');
INSERT INTO "claims" VALUES('first/account/cf','allocation:1','allocation:1','allocation:1','{"present":true,"limit":"5"}','01M8H4ETDR66WXX2FC092AW9X0','root','01M8H4ETDR66WXX2FC092AW9X0');
INSERT INTO "claims" VALUES('first/member/cf/ann','allocation:1/user:ann','allocation:1','user:ann','{"present":true,"limit":null}','01M8H4ETDR66WXX2FC092AW9X0','root','01M8H4ETDR66WXX2FC092AW9X0');
INSERT INTO "claims" VALUES('first/member/cf/bob','allocation:1/user:bob','allocation:1','user:bob','{"present":true,"limit":null}','01M8H4ETDR66WXX2FC092AW9X0','root','01M8H4ETDR66WXX2FC092AW9X0');
INSERT INTO "claims" VALUES('first/account/cf','allocation:2','allocation:2','allocation:2','{"present":true,"limit":"5"}','01M8H4ETKDBPKZKMCSFX1DMG97','root','01M8H4ETKDBPKZKMCSFX1DMG97');
INSERT INTO "claims" VALUES('first/member/cf/ann','allocation:2/user:ann','allocation:2','user:ann','{"present":true,"limit":null}','01M8H4ETKDBPKZKMCSFX1DMG97','root','01M8H4ETKDBPKZKMCSFX1DMG97');
INSERT INTO "claims" VALUES('first/member/cf/late','allocation:2/user:late','allocation:2','user:late','{"present":true,"limit":null}','01M8H4ETKDBPKZKMCSFX1DMG97','root','01M8H4ETKDBPKZKMCSFX1DMG97');
CREATE TABLE companions (
	request TEXT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (request)
);
CREATE TABLE drift (instance TEXT NOT NULL, at FLOAT NOT NULL, seconds FLOAT NOT NULL, looked INTEGER NOT NULL, differing JSON NOT NULL, closing INTEGER NOT NULL, failing INTEGER NOT NULL, error TEXT, found INTEGER NOT NULL, repaired INTEGER NOT NULL, asked FLOAT, repairs JSON NOT NULL DEFAULT '{}', PRIMARY KEY (instance));
CREATE TABLE events (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	request TEXT, 
	kind TEXT NOT NULL, 
	text TEXT NOT NULL, 
	subject TEXT, 
	facts TEXT, 
	previous TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "events" VALUES(1,1.79587143486591386794e+09,'01M8H4ET362GF183418PVP65XM','accepted','user.yaml','user:jdoe','{"file":"user.yaml","asked_by":"root","uid":0,"action":"user.provision","sha256":"bd926ccd4201a0731822740a4ae3fe89c64a093d277de7fb9d1bcd7793d1171b"}','0000000000000000000000000000000000000000000000000000000000000000','03078eab3f14876590cdb76999429fc6fed6b084c254bc7e340f696c6f19cec0');
INSERT INTO "events" VALUES(2,1.79587143486591386794e+09,'01M8H4ET362GF183418PVP65XM','started','early',NULL,NULL,'03078eab3f14876590cdb76999429fc6fed6b084c254bc7e340f696c6f19cec0','f7e86ab34ccd82e584858846dccfe0cc673fead80de08cf08085696f552e41f9');
INSERT INTO "events" VALUES(3,1.79587143498697566993e+09,'01M8H4ET362GF183418PVP65XM','object','first/account/jdoe','user:jdoe','{"step":"early","object":"first/account/jdoe","state":"done","changed":["add first/account/jdoe"],"read_back":{"present":true,"limit":"2000"}}','f7e86ab34ccd82e584858846dccfe0cc673fead80de08cf08085696f552e41f9','297f3ad23cf3bfed72deba51a4b0ca19f64be71c01d4311087a52b74d9e83d34');
INSERT INTO "events" VALUES(4,1.79587143498697566993e+09,'01M8H4ET362GF183418PVP65XM','started','late',NULL,NULL,'297f3ad23cf3bfed72deba51a4b0ca19f64be71c01d4311087a52b74d9e83d34','e48f47b344346c7de51cf5aafb809288a2b1d8606fa6a6810f80257f2e9547a0');
INSERT INTO "events" VALUES(5,1.79587143511012649541e+09,'01M8H4ET362GF183418PVP65XM','object','second/account/jdoe','user:jdoe','{"step":"late","object":"second/account/jdoe","state":"done","changed":["add second/account/jdoe"],"read_back":{"present":true,"limit":"2000"}}','e48f47b344346c7de51cf5aafb809288a2b1d8606fa6a6810f80257f2e9547a0','10b475ac71b206b5f4f60025b56c2e43bb6c0412cd1776bf18f130702dbae6c6');
INSERT INTO "events" VALUES(6,1.79587143511012649541e+09,'01M8H4ET362GF183418PVP65XM','done','',NULL,NULL,'10b475ac71b206b5f4f60025b56c2e43bb6c0412cd1776bf18f130702dbae6c6','a57c7af3611e65d39a00a78a11e8011dc2e5817746c7277c8098a3f44dced727');
INSERT INTO "events" VALUES(7,1.79587143519367408751e+09,'01M8H4ETDR66WXX2FC092AW9X0','accepted','one.yaml','allocation:1','{"file":"one.yaml","asked_by":"root","uid":0,"action":"allocation.provision","sha256":"fae1dbf1b31e2e2aeeacc2f47c4ed85a72e5398c67a8243e192287cb7be7b714"}','a57c7af3611e65d39a00a78a11e8011dc2e5817746c7277c8098a3f44dced727','e8f63c9bbda98131bb2b56dd1f759f483e90ed3638aed4b2ef02cf808e4994a0');
INSERT INTO "events" VALUES(8,1.79587143519367408751e+09,'01M8H4ETDR66WXX2FC092AW9X0','started','account',NULL,NULL,'e8f63c9bbda98131bb2b56dd1f759f483e90ed3638aed4b2ef02cf808e4994a0','333bd42dbe77e3abab285165cf6e661406d883b1b42cd4ecc2fe9a8f58c83437');
INSERT INTO "events" VALUES(9,1.7958714352383022308e+09,'01M8H4ETDR66WXX2FC092AW9X0','object','first/account/cf','allocation:1','{"step":"account","object":"first/account/cf","state":"done","changed":["add first/account/cf"],"read_back":{"present":true,"limit":"5"}}','333bd42dbe77e3abab285165cf6e661406d883b1b42cd4ecc2fe9a8f58c83437','041695b956fdd28cb514a206e1cb114290c033b3caec4eeec6bfbe832d71d1c1');
INSERT INTO "events" VALUES(10,1.7958714352383022308e+09,'01M8H4ETDR66WXX2FC092AW9X0','started','members',NULL,NULL,'041695b956fdd28cb514a206e1cb114290c033b3caec4eeec6bfbe832d71d1c1','c9e27f60889ffb817c751b71b1e2525a54c21e658ae91e8b8c900729ccc4ebed');
INSERT INTO "events" VALUES(11,1.79587143529453921323e+09,'01M8H4ETDR66WXX2FC092AW9X0','object','first/member/cf/ann','allocation:1/user:ann','{"step":"members","object":"first/member/cf/ann","state":"done","changed":["add first/member/cf/ann"],"read_back":{"present":true,"limit":null}}','c9e27f60889ffb817c751b71b1e2525a54c21e658ae91e8b8c900729ccc4ebed','5d4e188c7abff161894f44db3cf8595da72789749155bd0edbc4636279f8b886');
INSERT INTO "events" VALUES(12,1.79587143529453921323e+09,'01M8H4ETDR66WXX2FC092AW9X0','object','first/member/cf/bob','allocation:1/user:bob','{"step":"members","object":"first/member/cf/bob","state":"done","changed":["add first/member/cf/bob"],"read_back":{"present":true,"limit":null}}','5d4e188c7abff161894f44db3cf8595da72789749155bd0edbc4636279f8b886','4510cfd62edd18e80009cc38be36530a39207bdc69acd2472c509911089598ec');
INSERT INTO "events" VALUES(13,1.79587143529453921323e+09,'01M8H4ETDR66WXX2FC092AW9X0','done','',NULL,NULL,'4510cfd62edd18e80009cc38be36530a39207bdc69acd2472c509911089598ec','ab599c1c3af9967ee51ca3047b8370e310a510d5f3027042b1526d43717c67e5');
INSERT INTO "events" VALUES(14,1.79587143537507915491e+09,'01M8H4ETKDBPKZKMCSFX1DMG97','accepted','waits.yaml','allocation:2','{"file":"waits.yaml","asked_by":"root","uid":0,"action":"allocation.provision","sha256":"d7734bef4e38171f5f09b02e0c45fd6853bb580d0503290fdb4e761acf5febdc"}','ab599c1c3af9967ee51ca3047b8370e310a510d5f3027042b1526d43717c67e5','aa97a9f1ff1d96f7760b36f8a9bb0e07b8f1b4a3ee2fd96112d072155265290f');
INSERT INTO "events" VALUES(15,1.79587143537507915491e+09,'01M8H4ETKDBPKZKMCSFX1DMG97','started','account',NULL,NULL,'aa97a9f1ff1d96f7760b36f8a9bb0e07b8f1b4a3ee2fd96112d072155265290f','f840d1122e3029b8d73a593bfce85f8864b51dc196a1e6c1745603b54a94a6a8');
INSERT INTO "events" VALUES(16,1.79587143541025209426e+09,'01M8H4ETKDBPKZKMCSFX1DMG97','object','first/account/cf','allocation:2','{"step":"account","object":"first/account/cf","state":"done","changed":[],"read_back":{"present":true,"limit":"5"}}','f840d1122e3029b8d73a593bfce85f8864b51dc196a1e6c1745603b54a94a6a8','282218c90ca7385e51ea6d940d287bf9186df5ef577a639448d49866b35537c8');
INSERT INTO "events" VALUES(17,1.79587143541025209426e+09,'01M8H4ETKDBPKZKMCSFX1DMG97','started','members',NULL,NULL,'282218c90ca7385e51ea6d940d287bf9186df5ef577a639448d49866b35537c8','5f0e1ab8f3b9713202dd241fb6f06f0536b5edc0c4594af6a799c89244edacfe');
INSERT INTO "events" VALUES(18,1.79587143545822596553e+09,'01M8H4ETKDBPKZKMCSFX1DMG97','object','first/member/cf/ann','allocation:2/user:ann','{"step":"members","object":"first/member/cf/ann","state":"done","changed":[],"read_back":{"present":true,"limit":null}}','5f0e1ab8f3b9713202dd241fb6f06f0536b5edc0c4594af6a799c89244edacfe','3432527918e09786c2b0ed40b95a04412e2bb47e31fd272e573cc4ec1100f141');
INSERT INTO "events" VALUES(19,1.79587143664705777166e+09,'01M8H4EVV59SQCHRXT7PDVDP48','refused','wrong.yaml','','{"file":"wrong.yaml","asked_by":"root","uid":0,"action":"","sha256":"5b08b869b2bbb5b9817e9a044c8ebf5537ed2cad57d6004b13034e30173519f3","problems":["unknown key","missing"]}','3432527918e09786c2b0ed40b95a04412e2bb47e31fd272e573cc4ec1100f141','c139e0a944f7cd2c5c22f62cb011a3e57bd03e6086c112065d655e9395aff029');
CREATE TABLE handed (id TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, taker TEXT, PRIMARY KEY (id));
CREATE TABLE holds (lane TEXT NOT NULL, epoch INTEGER NOT NULL, host TEXT, since FLOAT NOT NULL, PRIMARY KEY (lane));
INSERT INTO "holds" VALUES('first',3,'near',1796000000.0);
CREATE TABLE hosts (name TEXT NOT NULL, roles TEXT NOT NULL, version TEXT NOT NULL, since FLOAT NOT NULL, heard FLOAT NOT NULL, ahead FLOAT NOT NULL, PRIMARY KEY (name, roles));
INSERT INTO "hosts" VALUES('portal','intake','0.1.0',1796000000.0,1796000100.0,0.0);
CREATE TABLE idle (person TEXT NOT NULL, since FLOAT, stage INTEGER, told FLOAT, message TEXT, heard BOOLEAN NOT NULL, asked TEXT, seen FLOAT, spared FLOAT, PRIMARY KEY (person));
INSERT INTO "idle" VALUES('jdoe',1795984520.0,30,1795984520.0,'01M8H4ET362GF183418PVP65XM-3-1111111111',0,NULL,1795984520.0,NULL);
CREATE TABLE lanes (
	name TEXT NOT NULL, 
	paused_by TEXT, 
	breaker_until FLOAT, 
	breaker_reason TEXT, 
	PRIMARY KEY (name)
);
CREATE TABLE marks (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "marks" VALUES('journal','01M8H4ESWAFNW7AC50S14A551W');
INSERT INTO "marks" VALUES('position','71');
INSERT INTO "marks" VALUES('sum','6:71:000000112f364ce2');
CREATE TABLE messages (id TEXT NOT NULL, channel TEXT NOT NULL, event TEXT NOT NULL, person TEXT NOT NULL, address TEXT NOT NULL, subject TEXT NOT NULL, facts JSON NOT NULL, state TEXT NOT NULL, made FLOAT NOT NULL, due FLOAT NOT NULL, attempts INTEGER NOT NULL, ended FLOAT, error TEXT, summary TEXT, PRIMARY KEY (id));
INSERT INTO "messages" VALUES('01M8H4ET362GF183418PVP65XM-3-1111111111','mail','account_ready','jdoe','jdoe@campus.test','user:jdoe','{}','merged',1795984520.0,1795984520.0,1,1795984522.0,'in summary-0123456789','summary-0123456789');
INSERT INTO "messages" VALUES('01M8H4ETDR66WXX2FC092AW9X0-6-2222222222','mail','account_ready','jdoe','jdoe@campus.test','user:jdoe','{}','merged',1795984520.0,1795984520.0,1,1795984522.0,'in summary-0123456789','summary-0123456789');
INSERT INTO "messages" VALUES('summary-0123456789','mail','summary','jdoe','jdoe@campus.test','','{}','sent',1795984520.0,1795984520.0,1,1795984523.0,NULL,NULL);
CREATE TABLE numbers (kind TEXT NOT NULL, number BIGINT NOT NULL, "key" TEXT NOT NULL, PRIMARY KEY (kind, number, "key"));
CREATE TABLE objects (
	"key" TEXT NOT NULL, 
	instance TEXT NOT NULL, 
	lane TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	converged INTEGER NOT NULL, 
	due FLOAT, 
	attempts INTEGER NOT NULL, 
	waiting_since FLOAT, 
	error JSON, 
	state JSON, 
	observed FLOAT, 
	prior JSON, 
	adoption TEXT, 
	identity JSON, 
	applied JSON, writer TEXT NOT NULL DEFAULT 'root', 
	PRIMARY KEY ("key")
);
INSERT INTO "objects" VALUES('first/account/jdoe','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"2000"}',1.79587143498697566993e+09,NULL,NULL,NULL,NULL,'root');
INSERT INTO "objects" VALUES('second/account/jdoe','second','second',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"2000"}',1.79587143511012649541e+09,NULL,NULL,NULL,NULL,'root');
INSERT INTO "objects" VALUES('first/account/cf','first','first',2,2,NULL,0,NULL,NULL,'{"present":true,"limit":"5"}',1.79587143541025209426e+09,NULL,NULL,NULL,NULL,'root');
INSERT INTO "objects" VALUES('first/member/cf/ann','first','first',2,2,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.79587143545822596553e+09,NULL,NULL,NULL,NULL,'root');
INSERT INTO "objects" VALUES('first/member/cf/bob','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.79587143529453921323e+09,NULL,NULL,NULL,NULL,'root');
INSERT INTO "objects" VALUES('first/member/cf/late','first','first',1,0,1.79587143743485736849e+09,0,1.79587143545822596553e+09,'{"type":"NotReady","message":"first/member/cf/late is not ready","advice":"","object":"first/member/cf/late"}','{"present":false}',1.79587143741788530354e+09,NULL,NULL,NULL,NULL,'root');
CREATE TABLE quota ("key" TEXT NOT NULL, what TEXT NOT NULL, level FLOAT NOT NULL, told FLOAT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY ("key", what));
CREATE TABLE quota_days ("key" TEXT NOT NULL, what TEXT NOT NULL, day INTEGER NOT NULL, used BIGINT NOT NULL, at FLOAT NOT NULL, PRIMARY KEY ("key", what, day));
CREATE TABLE requests (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	writer TEXT NOT NULL, 
	uid INTEGER NOT NULL, 
	writer_id TEXT, 
	order_key TEXT, 
	order_number BIGINT, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	body BLOB NOT NULL, 
	state TEXT NOT NULL, 
	not_before FLOAT, 
	accepted FLOAT NOT NULL, 
	ended FLOAT, 
	problems JSON, 
	held_by TEXT, 
	approved_by TEXT, 
	on_behalf_of TEXT, 
	listed TEXT, for_review BOOLEAN, set_aside BOOLEAN, duplicate_of TEXT, fixed_by TEXT, replaces TEXT, ends FLOAT, ended_by TEXT, spool TEXT NOT NULL DEFAULT '', 
	PRIMARY KEY (id)
);
INSERT INTO "requests" VALUES('01M8H4ET362GF183418PVP65XM','user.yaml','root',0,NULL,NULL,NULL,'user.provision','user:jdoe','bd926ccd4201a0731822740a4ae3fe89c64a093d277de7fb9d1bcd7793d1171b',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D653A206A646F652C207569643A20323030307D0A','done',NULL,1.79587143486591386794e+09,1.79587143511012649541e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "requests" VALUES('01M8H4ETDR66WXX2FC092AW9X0','one.yaml','root',0,NULL,NULL,NULL,'allocation.provision','allocation:1','fae1dbf1b31e2e2aeeacc2f47c4ed85a72e5398c67a8243e192287cb7be7b714',X'70726F766973696F6E65723A20310A616374696F6E3A20616C6C6F636174696F6E2E70726F766973696F6E0A616C6C6F636174696F6E3A0A202069643A20310A20207265736F757263653A206F6E650A202070726F6A6563743A207B636F64653A2063667D0A202075736572733A205B616E6E2C20626F625D0A202071756F74613A207B66696C65733A20357D0A','done',NULL,1.79587143519367408751e+09,1.79587143529453921323e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "requests" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','waits.yaml','root',0,NULL,NULL,NULL,'allocation.provision','allocation:2','d7734bef4e38171f5f09b02e0c45fd6853bb580d0503290fdb4e761acf5febdc',X'70726F766973696F6E65723A20310A616374696F6E3A20616C6C6F636174696F6E2E70726F766973696F6E0A616C6C6F636174696F6E3A0A202069643A20320A20207265736F757263653A206F6E650A202070726F6A6563743A207B636F64653A2063667D0A202075736572733A205B616E6E2C206C6174655D0A202071756F74613A207B66696C65733A20357D0A','deferred',NULL,1.79587143537507915491e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "requests" VALUES('01M8H4EVV59SQCHRXT7PDVDP48','wrong.yaml','root',0,NULL,NULL,NULL,'','','5b08b869b2bbb5b9817e9a044c8ebf5537ed2cad57d6004b13034e30173519f3',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D3A20787D0A','refused',NULL,1.79587143664705777166e+09,1.79587143664705777166e+09,'[{"line":3,"key":"user.nam","message":"unknown key","expected":"one of attributes, email, full_name, gid, given_name, groups, home, name, shell, surname, uid","nearest":"name"},{"line":3,"key":"user.name","message":"missing","expected":"a user''s login name, such as jdoe","nearest":""}]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
CREATE TABLE shutting (seq BIGINT NOT NULL, uid INTEGER NOT NULL, at FLOAT NOT NULL, told TEXT NOT NULL, teller TEXT NOT NULL, PRIMARY KEY (seq));
CREATE TABLE spools (id TEXT NOT NULL, host TEXT NOT NULL, place TEXT NOT NULL, mark TEXT NOT NULL, served FLOAT NOT NULL, PRIMARY KEY (id));
INSERT INTO "spools" VALUES('','portal','/srv/spool','mark',1796000000.0);
CREATE TABLE step_objects (
	request TEXT NOT NULL, 
	step TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	item TEXT NOT NULL, 
	claimant TEXT NOT NULL, 
	generation INTEGER, 
	state TEXT NOT NULL, 
	changed JSON NOT NULL, 
	error JSON, 
	read_back JSON, 
	PRIMARY KEY (request, step, "key", item)
);
INSERT INTO "step_objects" VALUES('01M8H4ET362GF183418PVP65XM','early','first/account/jdoe','','user:jdoe',1,'done','["add first/account/jdoe"]',NULL,'{"present":true,"limit":"2000"}');
INSERT INTO "step_objects" VALUES('01M8H4ET362GF183418PVP65XM','late','second/account/jdoe','','user:jdoe',1,'done','["add second/account/jdoe"]',NULL,'{"present":true,"limit":"2000"}');
INSERT INTO "step_objects" VALUES('01M8H4ETDR66WXX2FC092AW9X0','account','first/account/cf','','allocation:1',1,'done','["add first/account/cf"]',NULL,'{"present":true,"limit":"5"}');
INSERT INTO "step_objects" VALUES('01M8H4ETDR66WXX2FC092AW9X0','members','first/member/cf/ann','ann','allocation:1/user:ann',1,'done','["add first/member/cf/ann"]',NULL,'{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M8H4ETDR66WXX2FC092AW9X0','members','first/member/cf/bob','bob','allocation:1/user:bob',1,'done','["add first/member/cf/bob"]',NULL,'{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','account','first/account/cf','','allocation:2',2,'done','[]',NULL,'{"present":true,"limit":"5"}');
INSERT INTO "step_objects" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','members','first/member/cf/ann','ann','allocation:2/user:ann',2,'done','[]',NULL,'{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','members','first/member/cf/late','late','allocation:2/user:late',1,'due','[]','{"type":"NotReady","message":"first/member/cf/late is not ready","advice":"","object":"first/member/cf/late"}',NULL);
CREATE TABLE steps (
	request TEXT NOT NULL, 
	name TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	instance TEXT NOT NULL, 
	needs JSON NOT NULL, 
	routed BOOLEAN NOT NULL, 
	state TEXT NOT NULL, 
	started FLOAT, 
	ended FLOAT, 
	error JSON, withdraws BOOLEAN NOT NULL DEFAULT 0, 
	PRIMARY KEY (request, name)
);
INSERT INTO "steps" VALUES('01M8H4ET362GF183418PVP65XM','early',0,'first','[]',1,'done',1.79587143486591386794e+09,1.79587143498697566993e+09,NULL,0);
INSERT INTO "steps" VALUES('01M8H4ET362GF183418PVP65XM','late',1,'second','["early"]',1,'done',1.79587143498697566993e+09,1.79587143511012649541e+09,NULL,0);
INSERT INTO "steps" VALUES('01M8H4ETDR66WXX2FC092AW9X0','account',0,'first','[]',1,'done',1.79587143519367408751e+09,1.7958714352383022308e+09,NULL,0);
INSERT INTO "steps" VALUES('01M8H4ETDR66WXX2FC092AW9X0','members',1,'first','["account"]',1,'done',1.7958714352383022308e+09,1.79587143529453921323e+09,NULL,0);
INSERT INTO "steps" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','account',0,'first','[]',1,'done',1.79587143537507915491e+09,1.79587143541025209426e+09,NULL,0);
INSERT INTO "steps" VALUES('01M8H4ETKDBPKZKMCSFX1DMG97','members',1,'first','["account"]',1,'due',1.79587143541025209426e+09,NULL,NULL,0);
CREATE TABLE suspensions (
	subject TEXT NOT NULL, 
	source TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	request TEXT NOT NULL, 
	since FLOAT NOT NULL, 
	PRIMARY KEY (subject, source, cause)
);
CREATE TABLE told (person TEXT NOT NULL, about TEXT NOT NULL, fact TEXT NOT NULL, open BOOLEAN NOT NULL, at FLOAT NOT NULL, PRIMARY KEY (person, about));
CREATE TABLE words (subject TEXT NOT NULL, writer TEXT NOT NULL, listed BOOLEAN NOT NULL, request TEXT NOT NULL, since FLOAT NOT NULL, kept TEXT, ends FLOAT, ended_by TEXT, PRIMARY KEY (subject, writer));
CREATE TABLE writers (name TEXT NOT NULL, uid INTEGER NOT NULL, PRIMARY KEY (name));
INSERT INTO "writers" VALUES('root',0);
CREATE INDEX requests_digest ON requests (digest);
CREATE INDEX requests_writer_id ON requests (writer, writer_id);
CREATE INDEX requests_order ON requests (writer, order_key, order_number);
CREATE INDEX requests_state ON requests (state);
CREATE INDEX step_objects_key ON step_objects ("key", state);
CREATE INDEX claims_root ON claims (root);
CREATE INDEX claims_leaf ON claims (leaf);
CREATE INDEX objects_due ON objects (lane, due);
CREATE INDEX events_request ON events (request);
CREATE INDEX requests_subject ON requests (subject);
CREATE INDEX requests_unfixed ON requests (subject) WHERE +state IN ('failed', 'refused') AND (fixed_by IS NULL OR fixed_by = id);
CREATE INDEX requests_unfixed_name ON requests (name) WHERE +state IN ('failed', 'refused') AND (fixed_by IS NULL OR fixed_by = id);
CREATE INDEX requests_fixed_by ON requests (fixed_by) WHERE fixed_by IS NOT NULL;
CREATE INDEX messages_state ON messages (state, due);
CREATE INDEX requests_ends ON requests (ends) WHERE ends IS NOT NULL;
CREATE INDEX objects_turns ON objects (lane, writer, due) WHERE due IS NOT NULL;
CREATE INDEX step_objects_unended ON step_objects (request, state, step, item) WHERE state = 'waiting' OR state = 'due';
CREATE INDEX words_ends ON words (ends) WHERE ends IS NOT NULL;
CREATE INDEX events_new_users ON events (at) WHERE kind = 'new-user';
CREATE INDEX step_objects_users ON step_objects (request, item) WHERE item <> '';
COMMIT;
