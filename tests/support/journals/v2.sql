BEGIN TRANSACTION;
CREATE TABLE claims (
	"key" TEXT NOT NULL, 
	claimant TEXT NOT NULL, 
	root TEXT NOT NULL, 
	leaf TEXT NOT NULL, 
	want JSON, 
	request TEXT NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY ("key", claimant)
);
INSERT INTO "claims" VALUES('first/account/cf','allocation:1','allocation:1','allocation:1','{"present":true,"limit":"5"}','01M8AFB9S5FN8TVPFE6QD135VA','root');
INSERT INTO "claims" VALUES('first/member/cf/ann','allocation:1/user:ann','allocation:1','user:ann','{"present":true,"limit":null}','01M8AFB9S5FN8TVPFE6QD135VA','root');
INSERT INTO "claims" VALUES('first/member/cf/bob','allocation:1/user:bob','allocation:1','user:bob','{"present":true,"limit":null}','01M8AFB9S5FN8TVPFE6QD135VA','root');
INSERT INTO "claims" VALUES('first/account/ann','user:ann','user:ann','user:ann','{"present":true,"limit":"7000"}','01M8AFBA86C7HJPSE72WMGSTTA','root');
INSERT INTO "claims" VALUES('second/account/ann','user:ann','user:ann','user:ann','{"present":true,"limit":"7000"}','01M8AFBA86C7HJPSE72WMGSTTA','root');
INSERT INTO "claims" VALUES('first/account/bob','user:bob','user:bob','user:bob','{"present":true,"limit":"8000"}','01M8AFBADJ33PD0PDSXF3ZB2FR','root');
INSERT INTO "claims" VALUES('second/account/bob','user:bob','user:bob','user:bob','{"present":true,"limit":"8000"}','01M8AFBADJ33PD0PDSXF3ZB2FR','root');
CREATE TABLE companions (
	request TEXT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (request)
);
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
INSERT INTO "events" VALUES(1,1.79564797316847157481e+09,'01M8AFB9S5FN8TVPFE6QD135VA','accepted','one.yaml','allocation:1','{"file":"one.yaml","asked_by":"root","uid":0,"action":"allocation.provision","sha256":"fae1dbf1b31e2e2aeeacc2f47c4ed85a72e5398c67a8243e192287cb7be7b714"}','0000000000000000000000000000000000000000000000000000000000000000','7a70f5cb9533d71df370295fc4d7a99dfc5a8ce438d6ecc841301ad72b65c36b');
INSERT INTO "events" VALUES(2,1.79564797316847157481e+09,'01M8AFB9S5FN8TVPFE6QD135VA','started','account',NULL,NULL,'7a70f5cb9533d71df370295fc4d7a99dfc5a8ce438d6ecc841301ad72b65c36b','890c58b5a99335645c8bc4fe843d3100fbbfe25dd4fae08217501947496522f8');
INSERT INTO "events" VALUES(3,1.79564797340664958954e+09,'01M8AFB9S5FN8TVPFE6QD135VA','object','first/account/cf','allocation:1','{"step":"account","object":"first/account/cf","state":"done","changed":["add first/account/cf"],"read_back":{"present":true,"limit":"5"}}','890c58b5a99335645c8bc4fe843d3100fbbfe25dd4fae08217501947496522f8','adc5dbbee59f48928595d97e76e8bbc911cff5e937485bcdbd01ff59c763954a');
INSERT INTO "events" VALUES(4,1.79564797340664958954e+09,'01M8AFB9S5FN8TVPFE6QD135VA','started','members',NULL,NULL,'adc5dbbee59f48928595d97e76e8bbc911cff5e937485bcdbd01ff59c763954a','a62cb6bd8900bfaef05e5f49c98b0526c0f4e864ef9861ea5ec836bd1248a897');
INSERT INTO "events" VALUES(5,1.79564797354356408122e+09,'01M8AFB9S5FN8TVPFE6QD135VA','object','first/member/cf/ann','allocation:1/user:ann','{"step":"members","object":"first/member/cf/ann","state":"done","changed":["add first/member/cf/ann"],"read_back":{"present":true,"limit":null}}','a62cb6bd8900bfaef05e5f49c98b0526c0f4e864ef9861ea5ec836bd1248a897','328f7f1d45784e089b2214fcd451c27ce8f69e576fa448edf6d9499089156006');
INSERT INTO "events" VALUES(6,1.79564797354356408122e+09,'01M8AFB9S5FN8TVPFE6QD135VA','object','first/member/cf/bob','allocation:1/user:bob','{"step":"members","object":"first/member/cf/bob","state":"done","changed":["add first/member/cf/bob"],"read_back":{"present":true,"limit":null}}','328f7f1d45784e089b2214fcd451c27ce8f69e576fa448edf6d9499089156006','d836100b5b8391e2c834409b9d9510ee1d42d9b43977735887a45a3fde7a65e3');
INSERT INTO "events" VALUES(7,1.79564797354356408122e+09,'01M8AFB9S5FN8TVPFE6QD135VA','done','',NULL,NULL,'d836100b5b8391e2c834409b9d9510ee1d42d9b43977735887a45a3fde7a65e3','fdbf1e1fa7284266d8be588a6a9fe40bba9f7d4d2b7c3c1e8cbee2b2ab7cb52f');
INSERT INTO "events" VALUES(8,1.79564797363966417308e+09,'01M8AFBA86C7HJPSE72WMGSTTA','accepted','ann.yaml','user:ann','{"file":"ann.yaml","asked_by":"root","uid":0,"action":"user.provision","sha256":"1123667f60573f7674fbc30c3ad75ef83a8042b9968ca8d6cee4f1104ed70b6f"}','fdbf1e1fa7284266d8be588a6a9fe40bba9f7d4d2b7c3c1e8cbee2b2ab7cb52f','df08340fc10b9bddcfb76ba08852fce69f789f3e813681d7a93f25b37578881b');
INSERT INTO "events" VALUES(9,1.79564797363966417308e+09,'01M8AFBA86C7HJPSE72WMGSTTA','started','early',NULL,NULL,'df08340fc10b9bddcfb76ba08852fce69f789f3e813681d7a93f25b37578881b','217034cc3c366f1f27e47da5f4e46423474dd11c2139fafe9163b0df4d68053e');
INSERT INTO "events" VALUES(10,1.79564797369144058232e+09,'01M8AFBA86C7HJPSE72WMGSTTA','object','first/account/ann','user:ann','{"step":"early","object":"first/account/ann","state":"done","changed":["add first/account/ann"],"read_back":{"present":true,"limit":"7000"}}','217034cc3c366f1f27e47da5f4e46423474dd11c2139fafe9163b0df4d68053e','f24de284d597b2a94389e803e29f2f3bcb4c051c0db6c062031a9de1e2333859');
INSERT INTO "events" VALUES(11,1.79564797369144058232e+09,'01M8AFBA86C7HJPSE72WMGSTTA','started','late',NULL,NULL,'f24de284d597b2a94389e803e29f2f3bcb4c051c0db6c062031a9de1e2333859','9286107dc2269d30cc7afc01218e42e1a2d3bd56fa8c843735c7e104a6fd91aa');
INSERT INTO "events" VALUES(12,1.79564797373598027227e+09,'01M8AFBA86C7HJPSE72WMGSTTA','object','second/account/ann','user:ann','{"step":"late","object":"second/account/ann","state":"done","changed":["add second/account/ann"],"read_back":{"present":true,"limit":"7000"}}','9286107dc2269d30cc7afc01218e42e1a2d3bd56fa8c843735c7e104a6fd91aa','2748e86b1b73ad2ee34b945460b2cda954b0f020d0fac47a1aa649047c4ecd18');
INSERT INTO "events" VALUES(13,1.79564797373598027227e+09,'01M8AFBA86C7HJPSE72WMGSTTA','done','',NULL,NULL,'2748e86b1b73ad2ee34b945460b2cda954b0f020d0fac47a1aa649047c4ecd18','e84645cd852282967ba0a15536c07219e288a4a051f5a538e62f81fd01a609f6');
INSERT INTO "events" VALUES(14,1.79564797381165909767e+09,'01M8AFBADJ33PD0PDSXF3ZB2FR','accepted','bob.yaml','user:bob','{"file":"bob.yaml","asked_by":"root","uid":0,"action":"user.provision","sha256":"160a093a57c7ef50707023a4cb8013ffc3e451862cf83558ca2a33177e755830"}','e84645cd852282967ba0a15536c07219e288a4a051f5a538e62f81fd01a609f6','d6e6c38c5e3332dd384b0fe41d9e6622ecff40bd795dc21f2b85259a9fb064e6');
INSERT INTO "events" VALUES(15,1.79564797381165909767e+09,'01M8AFBADJ33PD0PDSXF3ZB2FR','started','early',NULL,NULL,'d6e6c38c5e3332dd384b0fe41d9e6622ecff40bd795dc21f2b85259a9fb064e6','fef6ffd503a412bae3cfdc3f32b7ad2f04b92831892936c9331f23569258a67c');
INSERT INTO "events" VALUES(16,1.79564797385448575014e+09,'01M8AFBADJ33PD0PDSXF3ZB2FR','object','first/account/bob','user:bob','{"step":"early","object":"first/account/bob","state":"done","changed":["add first/account/bob"],"read_back":{"present":true,"limit":"8000"}}','fef6ffd503a412bae3cfdc3f32b7ad2f04b92831892936c9331f23569258a67c','7ac820bbc9364570108797021d8dca79d4e8c3d54366c950f59b226e2f72a847');
INSERT INTO "events" VALUES(17,1.79564797385448575014e+09,'01M8AFBADJ33PD0PDSXF3ZB2FR','started','late',NULL,NULL,'7ac820bbc9364570108797021d8dca79d4e8c3d54366c950f59b226e2f72a847','27684dc88b3ce9fd722ef04bdfadff6c2b9ed88fcc6e5c93aa921066132ab79c');
INSERT INTO "events" VALUES(18,1.79564801118270158763e+09,'01M8AFCEXC0S4M78VXGYW7YZN4','refused','wrong.yaml','','{"file":"wrong.yaml","asked_by":"root","uid":0,"action":"","sha256":"5b08b869b2bbb5b9817e9a044c8ebf5537ed2cad57d6004b13034e30173519f3","problems":["unknown key","missing"]}','27684dc88b3ce9fd722ef04bdfadff6c2b9ed88fcc6e5c93aa921066132ab79c','ba1d2041cfe019ad6f7ee09c4edd6a62dcefdeb4df973f515075452f16862cba');
CREATE TABLE lanes (
	name TEXT NOT NULL, 
	paused_by TEXT, 
	breaker_until FLOAT, 
	breaker_reason TEXT, 
	PRIMARY KEY (name)
);
INSERT INTO "lanes" VALUES('second',NULL,1.79564801327517580987e+09,'the backend is away');
CREATE TABLE marks (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "marks" VALUES('journal','01M8AFB9N3FZ0YNKER4HAVMFAF');
INSERT INTO "marks" VALUES('position','46');
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
	PRIMARY KEY ("key")
);
INSERT INTO "objects" VALUES('first/account/cf','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"5"}',1.79564797340664958954e+09,NULL);
INSERT INTO "objects" VALUES('first/member/cf/ann','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.79564797354356408122e+09,NULL);
INSERT INTO "objects" VALUES('first/member/cf/bob','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":null}',1.79564797354356408122e+09,NULL);
INSERT INTO "objects" VALUES('first/account/ann','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"7000"}',1.79564797369144058232e+09,NULL);
INSERT INTO "objects" VALUES('second/account/ann','second','second',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"7000"}',1.79564797373598027227e+09,NULL);
INSERT INTO "objects" VALUES('first/account/bob','first','first',1,1,NULL,0,NULL,NULL,'{"present":true,"limit":"8000"}',1.79564797385448575014e+09,NULL);
INSERT INTO "objects" VALUES('second/account/bob','second','second',1,0,1.79564801326232933997e+09,0,1.79564797621838521954e+09,'{"type":"Unavailable","message":"the backend is away","advice":"see `provisioner doctor`; the work goes on by itself when the backend is back","object":"second/account/bob"}',NULL,1.79564801326232933997e+09,NULL);
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
	PRIMARY KEY (id)
);
INSERT INTO "requests" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','one.yaml','root',0,NULL,NULL,NULL,'allocation.provision','allocation:1','fae1dbf1b31e2e2aeeacc2f47c4ed85a72e5398c67a8243e192287cb7be7b714',X'70726F766973696F6E65723A20310A616374696F6E3A20616C6C6F636174696F6E2E70726F766973696F6E0A616C6C6F636174696F6E3A0A202069643A20310A20207265736F757263653A206F6E650A202070726F6A6563743A207B636F64653A2063667D0A202075736572733A205B616E6E2C20626F625D0A202071756F74613A207B66696C65733A20357D0A','done',NULL,1.79564797316847157481e+09,1.79564797354356408122e+09,'null',NULL,NULL);
INSERT INTO "requests" VALUES('01M8AFBA86C7HJPSE72WMGSTTA','ann.yaml','root',0,NULL,NULL,NULL,'user.provision','user:ann','1123667f60573f7674fbc30c3ad75ef83a8042b9968ca8d6cee4f1104ed70b6f',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D653A20616E6E2C207569643A20373030307D0A','done',NULL,1.79564797363966417308e+09,1.79564797373598027227e+09,'null',NULL,NULL);
INSERT INTO "requests" VALUES('01M8AFBADJ33PD0PDSXF3ZB2FR','bob.yaml','root',0,NULL,NULL,NULL,'user.provision','user:bob','160a093a57c7ef50707023a4cb8013ffc3e451862cf83558ca2a33177e755830',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D653A20626F622C207569643A20383030307D0A','deferred',NULL,1.79564797381165909767e+09,NULL,'null',NULL,NULL);
INSERT INTO "requests" VALUES('01M8AFCEXC0S4M78VXGYW7YZN4','wrong.yaml','root',0,NULL,NULL,NULL,'','','5b08b869b2bbb5b9817e9a044c8ebf5537ed2cad57d6004b13034e30173519f3',X'70726F766973696F6E65723A20310A616374696F6E3A20757365722E70726F766973696F6E0A757365723A207B6E616D3A20787D0A','refused',NULL,1.79564801118270158763e+09,1.79564801118270158763e+09,'[{"line":3,"key":"user.nam","message":"unknown key","expected":"one of attributes, email, full_name, gid, given_name, groups, home, name, shell, surname, uid","nearest":"name"},{"line":3,"key":"user.name","message":"missing","expected":"a user''s login name, such as jdoe","nearest":""}]',NULL,NULL);
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
INSERT INTO "step_objects" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','account','first/account/cf','','allocation:1',1,'done','["add first/account/cf"]','null','{"present":true,"limit":"5"}');
INSERT INTO "step_objects" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','members','first/member/cf/ann','ann','allocation:1/user:ann',1,'done','["add first/member/cf/ann"]','null','{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','members','first/member/cf/bob','bob','allocation:1/user:bob',1,'done','["add first/member/cf/bob"]','null','{"present":true,"limit":null}');
INSERT INTO "step_objects" VALUES('01M8AFBA86C7HJPSE72WMGSTTA','early','first/account/ann','','user:ann',1,'done','["add first/account/ann"]','null','{"present":true,"limit":"7000"}');
INSERT INTO "step_objects" VALUES('01M8AFBA86C7HJPSE72WMGSTTA','late','second/account/ann','','user:ann',1,'done','["add second/account/ann"]','null','{"present":true,"limit":"7000"}');
INSERT INTO "step_objects" VALUES('01M8AFBADJ33PD0PDSXF3ZB2FR','early','first/account/bob','','user:bob',1,'done','["add first/account/bob"]','null','{"present":true,"limit":"8000"}');
INSERT INTO "step_objects" VALUES('01M8AFBADJ33PD0PDSXF3ZB2FR','late','second/account/bob','','user:bob',1,'due','[]','{"type":"Unavailable","message":"the backend is away","advice":"see `provisioner doctor`; the work goes on by itself when the backend is back","object":"second/account/bob"}','null');
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
	error JSON, 
	PRIMARY KEY (request, name)
);
INSERT INTO "steps" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','account',0,'first','[]',1,'done',1.79564797316847157481e+09,1.79564797340664958954e+09,NULL);
INSERT INTO "steps" VALUES('01M8AFB9S5FN8TVPFE6QD135VA','members',1,'first','["account"]',1,'done',1.79564797340664958954e+09,1.79564797354356408122e+09,'null');
INSERT INTO "steps" VALUES('01M8AFBA86C7HJPSE72WMGSTTA','early',0,'first','[]',1,'done',1.79564797363966417308e+09,1.79564797369144058232e+09,NULL);
INSERT INTO "steps" VALUES('01M8AFBA86C7HJPSE72WMGSTTA','late',1,'second','["early"]',1,'done',1.79564797369144058232e+09,1.79564797373598027227e+09,'null');
INSERT INTO "steps" VALUES('01M8AFBADJ33PD0PDSXF3ZB2FR','early',0,'first','[]',1,'done',1.79564797381165909767e+09,1.79564797385448575014e+09,NULL);
INSERT INTO "steps" VALUES('01M8AFBADJ33PD0PDSXF3ZB2FR','late',1,'second','["early"]',1,'due',1.79564797385448575014e+09,NULL,'null');
CREATE TABLE suspensions (
	subject TEXT NOT NULL, 
	source TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	request TEXT NOT NULL, 
	since FLOAT NOT NULL, 
	PRIMARY KEY (subject, source, cause)
);
CREATE INDEX requests_state ON requests (state);
CREATE INDEX requests_order ON requests (writer, order_key, order_number);
CREATE INDEX requests_digest ON requests (digest);
CREATE INDEX requests_writer_id ON requests (writer, writer_id);
CREATE INDEX step_objects_key ON step_objects ("key", state);
CREATE INDEX claims_root ON claims (root);
CREATE INDEX claims_leaf ON claims (leaf);
CREATE INDEX objects_due ON objects (lane, due);
CREATE INDEX events_request ON events (request);
COMMIT;
