; What target.c asks the code generator: it compiles these and reads the assembly.

declare float @llvm.fma.f32(float, float, float)
declare float @llvm.floor.f32(float)
declare <16 x i8> @llvm.masked.load.v16i8.p0(ptr, i32, <16 x i1>, <16 x i8>)
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)

define void @fma(ptr %p) #0 {
  %x = load float, ptr %p
  %y = call float @llvm.fma.f32(float %x, float %x, float %x)
  store float %y, ptr %p
  ret void
}

define void @floor(ptr %p) #0 {
  %x = load float, ptr %p
  %y = call float @llvm.floor.f32(float %x)
  store float %y, ptr %p
  ret void
}

define void @sum(ptr %p) #0 {
  %x = load <16 x float>, ptr %p
  %y = fadd <16 x float> %x, %x
  store <16 x float> %y, ptr %p
  ret void
}

define void @bytes(ptr %p) #0 {
  %x = load <16 x i8>, ptr %p
  %mask = icmp ne <16 x i8> %x, zeroinitializer
  %y = call <16 x i8> @llvm.masked.load.v16i8.p0(ptr %p, i32 1, <16 x i1> %mask, <16 x i8> zeroinitializer)
  store <16 x i8> %y, ptr %p
  ret void
}

define void @reals(ptr %p) #0 {
  %x = load <16 x float>, ptr %p
  %mask = fcmp une <16 x float> %x, zeroinitializer
  %y = call <16 x float> @llvm.masked.load.v16f32.p0(ptr %p, i32 4, <16 x i1> %mask, <16 x float> zeroinitializer)
  store <16 x float> %y, ptr %p
  ret void
}

attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }
